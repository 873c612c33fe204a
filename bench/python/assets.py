"""Writes what a benchmark feeds to every side: the model as TorchScript and ONNX, and the data; existing files are kept.

    .peers/bin/python bench/python/assets.py NAME...

.bench/NAME.pt; NAME.onnx (any batch size; missing where torch.onnx cannot export it) and NAME.npz: `images` [64, ...] of
float32 and `labels` [64] of int64, which of random-weight models are the model's own first choices. Of models that know digits, also NAME.digits.npz: all of
the training and test data.
"""

import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from common import ROOT, digits_data, eager, input_shape, output_to_stderr

OUT = ROOT / ".bench"
SAMPLES = 64


def replace(path: Path, write) -> None:
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp{path.suffix}")
    write(str(temporary))
    temporary.replace(path)


def samples(name: str, model: torch.nn.Module) -> dict[str, np.ndarray]:
    if "digits" in name:
        digits = digits_data(name)
        return {key: digits[f"test_{key}"][:SAMPLES].numpy() for key in ("images", "labels")}
    images = torch.rand(SAMPLES, *input_shape(name), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        labels = torch.cat([model(x).argmax(1) for x in images.split(8)])
    return {"images": images.numpy(), "labels": labels.numpy()}


def write_onnx(model: torch.nn.Module, name: str, path: Path) -> None:
    x = torch.rand(2, *input_shape(name))
    # Its fused operator is not in ONNX.
    torch.backends.mha.set_fastpath_enabled(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        replace(
            path,
            lambda file: torch.onnx.export(
                model, (x,), file, dynamo=False, input_names=["x"], output_names=["y"],
                dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
            ),
        )  # fmt: skip
    torch.backends.mha.set_fastpath_enabled(True)


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    OUT.mkdir(exist_ok=True)
    for name in sys.argv[1:]:
        script, onnx, data = (OUT / f"{name}.{suffix}" for suffix in ("pt", "onnx", "npz"))
        digits = OUT / f"{name}.digits.npz"
        if "digits" in name and not digits.exists():
            replace(digits, lambda file: np.savez(file, **{k: v.numpy() for k, v in digits_data(name).items()}))
        if script.exists() and data.exists() and onnx.exists():
            continue
        model = eager(name)
        if not script.exists():
            replace(script, torch.jit.script(model).save)
        if not data.exists():
            replace(data, lambda file: np.savez(file, **samples(name, model)))
        if not onnx.exists():
            try:
                with output_to_stderr():
                    write_onnx(model, name, onnx)
            except Exception as error:  # noqa: BLE001  a peer that cannot is a result
                print(f"{name}: no ONNX file: {type(error).__name__}: {error}"[:300], file=sys.stderr)


if __name__ == "__main__":
    main()
