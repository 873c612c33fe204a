"""Judges an exported TorchScript file, or an exported program (.pt2), with PyTorch alone: does it load, agree, keep its
names, and still train?

    verify_subnet.py --model exported.pt [--inputs in.npz --expected out.npz] [--original original.pt] [--train-step]
    verify_subnet.py --serve        one JSON request a line on standard input, one JSON answer a line on standard output

A request has the flags' names in camelCase: model, inputs, expected, original, trainStep, tolerance, dtype, steps, lr.
`inputs` and `expected` are .npz, .npy or .safetensors files; arrays count in the file's order (safetensors: by name,
numbers in natural order). When a file has names that begin with "input" or "output", only those are taken, so one file
may hold both. Names that begin with "kw:" are keyword arguments. `dtype` (float16, bfloat16, float64) converts the
floating inputs. `way` is how an exported program computes its outputs: "decompose" by run_decompositions(), "onnx" by
onnxruntime, if that is installed (else the answer is ok and `absent`); where PyTorch can't take `source`, the model that
the file comes from, in that way either, the answer is ok and says so in `sourceFails`. Outputs are compared tensor by
tensor, depth first.

The answer: ok, error (null or a sentence), reason (its last line, where there is an error), maxAbsDiff, maxRelDiff (relative
to the largest expected magnitude), lossBefore, lossAfter, trainSamples (of a batch), gradsFinite, params, originalParams,
keysMissing (in the original only; fine when blocks were left out), keysUnexpected, shapesGrown, seconds. `ok` means: everything asked for held.
"""

import argparse
import contextlib
import json
import math
import re
import sys
import tempfile
import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

# Recompiling for each new shape would cost more than it saves: every file runs a few times only.
torch._C._set_graph_executor_optimize(False)


def define_torchvision_ops() -> None:
    """Files of detectors name these operators; without torchvision's library they must at least exist to load."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    iou = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    align = (
        "(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
        "int sampling_ratio, bool aligned) -> Tensor"
    )
    rotated = "(Tensor boxes1, Tensor boxes2) -> Tensor"
    for name, schema in {"nms": iou, "qnms": iou, "box_iou_rotated": rotated, "roi_align": align}.items():
        try:
            library.define(name + schema)
        except RuntimeError:
            pass
    globals()["_library"] = library  # the definitions live as long as this object


def natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def read_tensors(path: str, prefix: str) -> dict[str, torch.Tensor]:
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        loaded = load_file(path)
        tensors = {name: loaded[name] for name in sorted(loaded, key=natural)}
    else:
        arrays = np.load(path)
        if isinstance(arrays, np.ndarray):
            return {prefix: torch.from_numpy(arrays)}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(arrays[name]).reshape(arrays[name].shape)) for name in arrays}
    if any(name.startswith(prefix) for name in tensors):
        tensors = {name: t for name, t in tensors.items() if name.startswith((prefix, "kw:"))}
    return tensors


def flat_tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in flat_tensors(item)]
    return []


def compare(outputs: list[torch.Tensor], expected: list[torch.Tensor]) -> tuple[float, float]:
    """Largest absolute difference, and the largest one relative to its tensor's largest expected magnitude (or 1)."""
    if len(outputs) != len(expected):
        raise ValueError(f"the model gives {len(outputs)} tensors, {len(expected)} were expected")
    absolute = relative = 0.0
    for index, (got, want) in enumerate(zip(outputs, expected)):
        if got.shape != want.shape:
            raise ValueError(f"output {index} has shape {list(got.shape)}, expected was {list(want.shape)}")
        got, want = got.double(), want.double()
        if not torch.equal(got.isnan(), want.isnan()):
            raise ValueError(f"output {index} is NaN at other places than expected")
        difference = torch.where(got == want, 0.0, (got - want).abs()).nan_to_num(0.0, math.inf)
        worst = difference.max().item() if difference.numel() else 0.0
        finite = want[want.isfinite()].abs()
        scale = max(1.0, finite.max().item() if finite.numel() else 1.0)
        absolute, relative = max(absolute, worst), max(relative, worst / scale)
    return absolute, relative


def loss_of(outputs: list[torch.Tensor]) -> torch.Tensor:
    """Cross-entropy to fixed random labels for a matrix of logits, else the mean of squares."""
    floating = [o for o in outputs if o.is_floating_point()]
    if not floating:
        raise ValueError("the model has no floating-point output to train on")
    generator = torch.Generator().manual_seed(0)
    first = floating[0].float()
    if len(floating) == 1 and first.dim() == 2 and first.shape[1] > 1:
        return F.cross_entropy(first, torch.randint(0, first.shape[1], (first.shape[0],), generator=generator))
    return torch.stack([o.float().square().mean() for o in floating]).sum()


def doubled(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch of one made two with a little noise: batch norm can't train on one value a channel."""
    generator = torch.Generator().manual_seed(1)

    def grow(x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 0 or x.shape[0] != 1:
            return x
        if not x.is_floating_point():
            return torch.cat([x, x])
        return torch.cat([x, x + 0.1 * torch.randn(x.shape, generator=generator).to(x.dtype)])

    return {name: grow(x) for name, x in inputs.items()}


def call(model: torch.jit.ScriptModule, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    positional = [x for name, x in inputs.items() if not name.startswith("kw:")]
    keywords = {name[3:]: x for name, x in inputs.items() if name.startswith("kw:")}
    return flat_tensors(model(*positional, **keywords))


def open_model(path: str) -> torch.nn.Module:
    if not path.endswith(".pt2"):
        return torch.jit.load(path)
    # A module of an exported program has no mode; its own is that of its export.
    return torch.export.load(path).module()


def state_of(path: str) -> dict[str, list[int]]:
    state = torch.export.load(path).state_dict if path.endswith(".pt2") else torch.jit.load(path).state_dict()
    return {name: list(value.shape) for name, value in state.items() if isinstance(value, torch.Tensor)}


def run_onnx(path: str, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor] | None:
    """What onnxruntime computes of the program; None where it is not installed."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(sys.stderr):
        file = f"{place}/model.onnx"
        torch.onnx.export(torch.export.load(path), dynamo=True, verbose=False).save(file)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]
        given = [x.numpy() for x in inputs.values()]
        if len(names) != len(given):
            raise ValueError(f"the ONNX model has the inputs {names}, {len(given)} were given")
        return [torch.from_numpy(output) for output in session.run(None, dict(zip(names, given)))]


def outputs_of(path: str, way: str | None, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor] | None:
    if way == "onnx":
        return run_onnx(path, inputs)
    if way == "decompose":
        model = torch.export.load(path).run_decompositions().module()
    else:
        model = open_model(path)
        if not path.endswith(".pt2"):
            model.eval()
    with torch.no_grad():
        return call(model, inputs)


def train(path: str, inputs: dict[str, torch.Tensor], steps: int, lr: float) -> dict[str, Any]:
    """A few SGD steps on one batch from the file's weights; the same dropout masks in every step."""
    model = open_model(path)
    if not path.endswith(".pt2"):
        model.train()
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("the file has no parameters to train (was it frozen into constants?)")
    optimizer = torch.optim.SGD(parameters, lr=lr)
    before, finite = math.nan, True
    for step in range(steps + 1):
        torch.manual_seed(0)
        loss = loss_of(call(model, inputs))
        if step == 0:
            before = loss.item()
        if step == steps:
            break
        optimizer.zero_grad()
        loss.backward()
        gradients = [p.grad for p in parameters if p.grad is not None]
        finite &= bool(gradients) and all(bool(g.isfinite().all()) for g in gradients)
        # Random weights give gradients of any size: the clip keeps one step from leaping over the valley.
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return {"lossBefore": before, "lossAfter": loss.item(), "gradsFinite": finite}


def last_line(error: Exception) -> str:
    """TorchScript's errors end with what was wrong, after pages of where."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def train_until_lower(path: str, inputs: dict[str, torch.Tensor], steps: int, lr: float) -> dict[str, Any]:
    result: dict[str, Any] = {}
    batch = doubled(inputs)
    for rate in (lr, lr / 10, lr / 100):
        try:
            result = train(path, batch, steps, rate)
        except (RuntimeError, AssertionError) as error:
            if batch is inputs:
                raise
            batch = inputs  # a trace may have its batch size baked in, and an exported program asserts it
            try:
                result = train(path, batch, steps, rate)
            except (RuntimeError, AssertionError) as single:
                raise ValueError(f"with one sample: {last_line(single)}; with two: {last_line(error)}") from error
        result["trainSamples"] = next((x.shape[0] for x in batch.values() if x.dim() > 0), None)
        if not result["gradsFinite"] or result["lossAfter"] < result["lossBefore"]:
            break
    return result


def verify(request: dict[str, Any]) -> dict[str, Any]:
    start = time.time()
    answer: dict[str, Any] = {
        "ok": False,
        "maxAbsDiff": None,
        "maxRelDiff": None,
        "lossBefore": None,
        "lossAfter": None,
        "gradsFinite": None,
        "params": None,
        "originalParams": None,
        "keysMissing": [],
        "keysUnexpected": [],
        "shapesGrown": [],
        "error": None,
    }
    try:
        check(request, answer)
        answer["ok"] = True
    except Exception as error:  # noqa: BLE001  a server must answer whatever the file does
        answer["error"] = f"{type(error).__name__}: {error}".strip()[-2000:]
        answer["reason"] = f"{type(error).__name__}: {last_line(error)}"
    answer["seconds"] = round(time.time() - start, 3)
    return answer


def failure_of(path: str | None, way: str | None, inputs: dict[str, torch.Tensor]) -> str | None:
    """Why a model itself can't be taken in this way; None where it can, or where there is none."""
    if path is None or way is None:
        return None
    try:
        outputs_of(path, way, inputs)
    except Exception as error:  # noqa: BLE001  likewise
        return str(error).strip()[:300]
    return None


def check(request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Fills the answer and raises at the first thing that doesn't hold."""
    path = request["model"]
    answer["params"] = sum(p.numel() for p in open_model(path).parameters())
    state = state_of(path)
    inputs: dict[str, torch.Tensor] = {}
    if request.get("inputs"):
        inputs = read_tensors(request["inputs"], "input")
        if request.get("dtype"):
            dtype = getattr(torch, request["dtype"])
            inputs = {name: x.to(dtype) if x.is_floating_point() else x for name, x in inputs.items()}
        try:
            outputs = outputs_of(path, request.get("way"), inputs)
        except Exception as error:  # noqa: BLE001  converters raise whatever they like
            answer["sourceFails"] = failure_of(request.get("source"), request.get("way"), inputs)
            if answer["sourceFails"] is None:
                raise error
            return
        if outputs is None:
            answer["absent"] = True
            return
        if request.get("expected"):
            expected = list(read_tensors(request["expected"], "output").values())
            answer["maxAbsDiff"], answer["maxRelDiff"] = compare(outputs, expected)
            tolerance = request.get("tolerance", 1e-5) * (10 if request.get("way") == "onnx" else 1)  # other kernels
            if answer["maxRelDiff"] > tolerance:
                raise ValueError(f"the outputs differ by {answer['maxRelDiff']:.3g} of their size, allowed is {tolerance:g}")
    if request.get("original"):
        original = open_model(request["original"])
        answer["originalParams"] = sum(p.numel() for p in original.parameters())
        shapes = state_of(request["original"])
        answer["keysMissing"] = sorted(set(shapes) - set(state))
        answer["keysUnexpected"] = sorted(set(state) - set(shapes))
        answer["shapesGrown"] = [
            name
            for name, shape in state.items()
            if name in shapes
            and (len(shape) != len(shapes[name]) or any(a > b for a, b in zip(shape, shapes[name])))
        ]
        del original
        if answer["keysUnexpected"]:
            raise ValueError(f"the state dict has keys that the original lacks: {answer['keysUnexpected'][:5]}")
        if answer["shapesGrown"]:
            raise ValueError(f"parameters are larger than the original's: {answer['shapesGrown'][:5]}")
    if request.get("trainStep"):
        if not inputs:
            raise ValueError("a training step needs inputs")
        answer.update(train_until_lower(path, inputs, request.get("steps", 3), request.get("lr", 0.01)))
        if not answer["gradsFinite"]:
            raise ValueError("a gradient is missing, infinite or NaN")
        if not answer["lossAfter"] < answer["lossBefore"]:
            raise ValueError(f"training did not lower the loss: {answer['lossBefore']:.6g} to {answer['lossAfter']:.6g}")


def encode(answer: dict[str, Any]) -> str:
    """Strict JSON: a number that is not finite becomes null."""
    return json.dumps({k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in answer.items()})


def serve() -> None:
    print(json.dumps({"ready": True, "torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or not isinstance(request.get("model"), str):
                raise ValueError('a request is a JSON object with at least "model"')
            answer = verify(request)
            if "id" in request:
                answer["id"] = request["id"]
        except ValueError as error:
            answer = {"ok": False, "error": str(error)}
        print(encode(answer), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--model")
    parser.add_argument("--inputs")
    parser.add_argument("--expected")
    parser.add_argument("--original")
    parser.add_argument("--train-step", action="store_true")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--dtype", choices=["float16", "bfloat16", "float32", "float64"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--threads", type=int, help="LibTorch threads (default: PyTorch's own choice)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    define_torchvision_ops()
    if args.serve:
        serve()
        return
    if not args.model:
        parser.error("--model is needed, or --serve")
    answer = verify(
        {
            "model": args.model,
            "inputs": args.inputs,
            "expected": args.expected,
            "original": args.original,
            "trainStep": args.train_step,
            "tolerance": args.tolerance,
            "dtype": args.dtype,
            "steps": args.steps,
            "lr": args.lr,
        }
    )
    print(encode(answer))
    sys.exit(0 if answer["ok"] else 1)


if __name__ == "__main__":
    main()
