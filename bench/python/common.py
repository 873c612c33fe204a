"""What the Python benchmarks share: the fixtures' path, eager models with the fixtures' weights, timing, one JSON line."""

import contextlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "test" / "fixtures"
sys.path.insert(0, str(ROOT / "scripts" / "fixtures"))


def eager(name: str):
    """An eager model in eval mode: a digits fixture with its trained weights, or a torchvision/timm model (seeded)."""
    import torch

    if name == "mobilenet_v2_digits":
        from mobilenet_digits import load

        return load()
    digits = {
        "digits_resnet": ("models.resnet", "DigitsResNet"),
        "digits_cnn": ("models.mobile_cnn", "DigitsCnn"),
        "digits_vit": ("models.vit", "DigitsViT"),
    }
    if name in digits:
        module, cls = digits[name]
        model = getattr(__import__(module, fromlist=[cls]), cls)()
        model.load_state_dict(torch.jit.load(str(FIXTURES / f"{name}.pt")).state_dict())
        return model.eval()
    import zoo
    from architectures import randomize_constants

    torch.manual_seed(0)
    model = zoo.build(name)
    randomize_constants(model)
    return model.eval()


def input_shape(name: str) -> list[int]:
    """One sample's shape."""
    if name.startswith("digits_"):
        return [1, 8, 8]
    if name == "mobilenet_v2_digits":
        return [3, 64, 64]
    import zoo

    return zoo.input_size(name)


def digits_data(model: str):
    """The digits as the model takes them: `train_images`, `train_labels`, `test_images`, `test_labels`."""
    import numpy as np
    import torch

    if model == "mobilenet_v2_digits":
        from mobilenet_digits import data

        return data()
    return {name: torch.from_numpy(value) for name, value in np.load(FIXTURES / "digits.npz").items()}


def timed(run: Callable[[], object], seconds: float, warmup: int = 3, least: int = 5) -> list[float]:
    """Seconds of each call, for about `seconds` in all and at least `least` calls, after a warm-up."""
    for _ in range(warmup):
        run()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < least or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return times


def summary(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "medianSeconds": statistics.median(ordered),
        "minSeconds": ordered[0],
        "p95Seconds": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        "runs": len(ordered),
    }


@contextlib.contextmanager
def output_to_stderr():
    """Whatever a peer prints goes to standard error: standard output holds one JSON line and nothing else."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def peak_memory() -> float:
    """The peak of this process's resident memory in bytes, as in bench/lib/memory.mjs."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(tool: str, **values) -> None:
    import torch

    line = {
        "tool": tool,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "peakMemoryMB": round(peak_memory() / 2**20, 1),
        **values,
    }
    print(json.dumps(line), flush=True)
