"""PyTorch's side of bench/memory.mjs: `memory.py MODEL BATCH IMAGES eager|script|frozen`; prints { peakBytes }."""

import json
import os
import sys

import numpy as np
import torch
from common import ROOT, eager, peak_memory


def main() -> None:
    name, batch, images, variant = sys.argv[1:]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    arrays = np.load(ROOT / ".bench" / f"{name}.npz")
    pixels, labels = (torch.from_numpy(arrays[key]) for key in ("images", "labels"))
    if variant == "eager":
        model = eager(name)
    else:
        model = torch.jit.load(str(ROOT / ".bench" / f"{name}.pt")).eval()
        if variant == "frozen":
            model = torch.jit.optimize_for_inference(model)
    with torch.inference_mode():
        for _ in range(3):
            pairs = zip(pixels.split(int(batch)), labels.split(int(batch)))
            for _, (x, y) in zip(range(-(-int(images) // int(batch))), pairs):
                (model(x).argmax(1) == y).sum().item()
    print(json.dumps({"peakBytes": peak_memory()}))


if __name__ == "__main__":
    main()
