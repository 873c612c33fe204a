"""PyTorch's side of the benchmarks: answers JSON lines on standard input until it ends. See bench/lib/worker.mjs.

    {"op": "load", "model": NAME, "batch": 8, "images": 16, "variants": ["eager", "script", "frozen"], "device": "cpu"}
    {"op": "run", "variant": "frozen", "seconds": 0.5}      one pass after the other over the images, with top-1 accuracy
    {"op": "outputs", "variant": "frozen"}                  what the first batch gives
    {"op": "backward", "variant": "eager"}                  seconds of a pass with the gradients of the cross-entropy
    {"op": "calls", "file": FILE, "count": 10000}           seconds of so many calls of a ScriptModule, one by one
    {"op": "batches", "file": FILE, "count": 10000}         the same in a loop over data, with a score
"""

import json
import os
import sys
import time
import traceback

import numpy as np
import torch
from common import ROOT, eager

BENCH = ROOT / ".bench"


class Loop:
    """The forward loop as a Python user writes it."""

    def __init__(self, model: str, batch: int, images: int, variants: list[str], device: str = "cpu") -> None:
        self.device = torch.device(device)
        arrays = np.load(BENCH / f"{model}.npz")
        pixels, labels = (torch.from_numpy(np.resize(arrays[key], (images, *arrays[key].shape[1:]))) for key in arrays.files)
        self.batches = list(zip(pixels.split(batch), labels.split(batch)))
        self.images = images
        make = {
            "eager": lambda: eager(model),
            "script": lambda: torch.jit.load(str(BENCH / f"{model}.pt")).eval(),
            "frozen": lambda: torch.jit.optimize_for_inference(torch.jit.load(str(BENCH / f"{model}.pt")).eval()),
        }
        self.models = {name: make[name]().to(self.device) for name in variants}
        for name in variants:
            # The profiling executor specializes a shape in its first calls.
            self.run(name, 0.0, least=3)

    def one_pass(self, variant: str) -> float:
        model = self.models[variant]
        correct = 0
        with torch.inference_mode():
            for x, y in self.batches:
                correct += (model(x.to(self.device)).argmax(1) == y.to(self.device)).sum().item()
        return correct / self.images

    def run(self, variant: str, seconds: float, least: int = 1) -> dict:
        on_device = str(self.device) != "cpu"
        if on_device:
            torch.cuda.reset_peak_memory_stats()
        passes, start = 0, time.perf_counter()
        while passes < least or time.perf_counter() - start < seconds:
            score = self.one_pass(variant)
            passes += 1
        elapsed = time.perf_counter() - start
        peak = torch.cuda.max_memory_allocated() if on_device else None
        return {"imagesPerSecond": passes * self.images / elapsed, "score": score, "peakBytes": peak}

    def backward(self, variant: str) -> dict:
        model = self.models[variant]
        parameters = list(model.parameters())
        start = time.perf_counter()
        for x, y in self.batches:
            loss = torch.nn.functional.cross_entropy(model(x.to(self.device)), y.to(self.device))
            torch.autograd.grad(loss, parameters)
        return {"seconds": time.perf_counter() - start}

    def outputs(self, variant: str) -> dict:
        with torch.inference_mode():
            return {"values": self.models[variant](self.batches[0][0].to(self.device)).flatten().tolist()}


def calls(file: str, count: int) -> dict:
    model = torch.jit.load(file).eval()
    x = torch.ones(1)
    with torch.inference_mode():
        for _ in range(100):
            model(x)
        start = time.perf_counter()
        for _ in range(count):
            model(x)
        return {"seconds": time.perf_counter() - start}


def batches(file: str, count: int) -> dict:
    """Seconds of a loop over so many batches of one sample, with the mean squared error."""
    model = torch.jit.load(file).eval()
    samples = torch.zeros(count, 1)

    def some(data: torch.Tensor) -> float:
        total = 0.0
        for x, y in zip(data.split(1), data.split(1)):
            total += torch.nn.functional.mse_loss(model(x), y).item()
        return total / len(data)

    with torch.inference_mode():
        some(samples[:1000])
        start = time.perf_counter()
        some(samples)
        return {"seconds": time.perf_counter() - start}


FUNCTIONS = {"calls": calls, "batches": batches}


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    loop: Loop | None = None
    for line in sys.stdin:
        request = json.loads(line)
        op = request.pop("op")
        try:
            if op == "load":
                loop = None
                loop = Loop(**request)
                answer = {}
            elif op in FUNCTIONS:
                answer = FUNCTIONS[op](**request)
            else:
                answer = getattr(loop, op)(**request)
        except Exception:  # noqa: BLE001  the other side reports it
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
