"""Holds exported subnets against what PyTorch says. Each promise that is broken is a fault: a kind and a sentence."""

import warnings
from collections.abc import Callable, Iterator

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .made import Made, Reloaded, gradients_of, live_parameters
from .masked import NotASlice, kept_indices, masked_state, patch_norms, slice_of
from .outputs import RAISED, difference, direction_of, is_direction, shapes, tensors_of

warnings.filterwarnings("ignore")

#: Relative to an output's largest magnitude. Other orders of summation, and other kernels, stay far below.
TOLERANCE = 2e-4

#: How `exportLosses` says that a branch for training is lost.
LOST_TRAINING = "do in training mode what they do in evaluation mode"


def last_line(error: Exception) -> str:
    lines = [x for x in str(error).strip().splitlines() if x.strip()]
    return lines[-1].strip()[:300] if lines else type(error).__name__


class Judge:
    def __init__(self, made: Made, subnet: dict) -> None:
        self.made = made
        self.subnet = subnet
        self.faults: list[dict] = []
        self.skipped: list[str] = []
        #: For each tensor of the export its indices in the original; None for one whose numbers may change.
        self.kept: dict[str, list[Tensor] | None] = {}
        self.file = Reloaded(subnet["file"])

    def fault(self, kind: str, message: str) -> None:
        self.faults.append({"kind": kind, "message": message, "label": self.subnet["label"]})

    def attempt(self, kind: str, body: Callable[[], None]) -> bool:
        try:
            body()
            return True
        except Exception as error:  # whatever a file does, the service answers
            self.fault(kind, f"{type(error).__name__}: {last_line(error)}")
            return False

    def load(self) -> torch.jit.ScriptModule:
        return self.file.take()

    def judge(self) -> None:
        if not self.attempt("python-load", self.load):
            return
        self.state()
        self.sizes()
        self.outputs()
        self.gradients()
        if self.subnet["deep"]:
            self.attempt("double", self.double)
            self.attempt("load-state", self.other_weights)
            self.attempt("round-trip", self.round_trip)
            self.attempt("train", self.train)
            self.methods()

    # what it holds

    def state(self) -> None:
        """Each tensor is a slice of the original's, under the same name."""
        for name, part in self.load().state_dict().items():
            full = self.made.full.get(name)
            if full is None:
                self.fault("state-name", f"{name} isn't in the original's state")
                continue
            self.kept[name] = None
            if not full.is_floating_point() or direction_of(name) is not None or full.numel() == 0:
                continue
            try:
                self.kept[name] = kept_indices(full, part)
            except NotASlice as error:
                self.fault("state-values", f"{name} {list(part.shape)} of {list(full.shape)} {error}")
        for name in self.kept:  # magnitudes follow directions
            if (v := self.kept.get(direction_of(name) or "")) is not None:
                self.kept[name] = [v[0], *([torch.tensor([0])] * (self.made.full[name].dim() - 1))]

    def sizes(self) -> None:
        """Parameters and bytes as Python counts them."""
        model = self.load()
        params = sum(p.numel() for p in model.parameters())
        if params != self.subnet["costs"]["params"]:
            self.fault("cost-params", f"promised {self.subnet['costs']['params']} parameters, Python finds {params}")

    # what it computes

    def oracle(self, full: dict[str, Tensor]) -> nn.Module:
        model = self.made.build(masked_state(full, self.kept))
        patch_norms(model, self.kept)
        return model

    def inexact(self) -> str | None:
        program = self.made.program
        if program.inexact:
            return sorted(program.inexact)[0]
        if program.inexact_depth and self.subnet["leavesOut"]:
            return sorted(program.inexact_depth)[0]
        if any(f["kind"] == "state-values" for f in self.faults):
            return "a tensor that isn't a slice"
        return None

    def inputs(self) -> Iterator[tuple[int, Tensor]]:
        yield from enumerate(self.made.inputs)

    def outputs(self) -> None:
        subnet, oracle = self.load(), None
        reason = self.inexact()
        if reason is None:
            oracle = self.oracle(self.made.full)
        else:
            self.skipped.append(reason)
        space = load_file(self.subnet["outputs"])
        for i, x in self.inputs():
            name = "" if i == 0 else "other-"
            at = f"at {list(x.shape)}"
            try:
                with torch.no_grad():
                    actual = tensors_of(subnet(x.clone()))
            except RAISED as error:
                self.fault(
                    f"{name}python-forward",
                    f"the export fails in Python {at}, the original doesn't: {last_line(error)}",
                )
                continue
            count = sum(key.startswith(f"out{i}_") for key in space)
            expected = [space[f"out{i}_{j}"] for j in range(count)]
            if count and (d := difference(actual, expected)) > TOLERANCE:
                self.fault(
                    f"{name}space-differs",
                    f"the space differs from its export by {d:.2g} {at}: {shapes(expected)}, {shapes(actual)}",
                )
            if self.subnet["full"] and (d := difference(actual, self.made.outputs[i])) > TOLERANCE:
                self.fault(f"{name}full-differs", f"the full config's export differs from the original by {d:.2g} {at}")
            if oracle is None or not self.made.as_written[i]:
                continue
            with torch.no_grad():
                right = tensors_of(oracle(x.clone()))
            # Channels that were cut may be an output of a kind of its own (features): only shapes that stayed compare.
            if shapes(right) != shapes(actual):
                self.fault(f"{name}output-shape", f"outputs are {shapes(actual)} instead of {shapes(right)} {at}")
            elif (d := difference(actual, right)) > TOLERANCE:
                self.fault(
                    f"{name}mask-differs",
                    f"the export differs by {d:.2g} {at} from the full model with the cut channels at zero",
                )

    # how it goes on

    def gradients(self) -> None:
        """What received a gradient in the original receives one in the export, where it is still there."""

        def body() -> None:
            model = self.load()
            names = {name for name, _ in model.named_parameters()}
            live = live_parameters(model, self.made.inputs[0])
            lost, won = (self.made.live & names) - live, live - self.made.live
            if lost:
                self.fault("gradient-lost", f"receive no gradient any more: {sorted(lost)[:5]}")
            if won:
                self.fault("gradient-new", f"receive a gradient that they didn't: {sorted(won)[:5]}")
            self.dead(names)

        self.attempt("gradient", body)
        if self.inexact() is None and self.made.as_written[0]:
            self.attempt("gradient-values", self.gradient_values)

    def gradient_values(self) -> None:
        """Each parameter's gradient is the masked model's, cut in the same way."""
        x = self.made.inputs[0]
        actual, own = gradients_of(self.load(), x)
        right, whole = gradients_of(self.oracle(self.made.full), x)
        if shapes(own) != shapes(whole):
            return
        most = max((float(g.nan_to_num().abs().max()) for g in right.values() if g.numel()), default=0.0)
        for name, gradient in actual.items():
            indices = self.kept.get(name)
            # A factor of a weight norm was rescaled; a channel of zeros may have no number as its norm's gradient.
            if direction_of(name) is not None or is_direction(name) or name not in right or right[name].isnan().any():
                continue
            expected = right[name] if indices is None else slice_of(right[name], indices)
            if gradient.shape != expected.shape:
                self.fault(
                    "gradient-values", f"{name}'s gradient is {list(gradient.shape)}, not {list(expected.shape)}"
                )
            elif float((gradient - expected).abs().max()) > 1e-3 * max(most, 1e-3):
                self.fault("gradient-values", f"{name}'s gradient isn't the masked model's")

    def dead(self, names: set[str]) -> None:
        """A hyperparameter changes something that runs."""
        if self.subnet["only"] is None:
            return
        changed = [
            name
            for name, indices in self.kept.items()
            if indices is not None and [len(i) for i in indices] != list(self.made.full[name].shape)
        ]
        gone = [name for name in self.made.full if name not in self.kept]
        # A statistic is as dead as its norm; another buffer can't say whether it ran.
        tables = [x for x in changed + gone if x not in self.made.parameters and "running_" not in x]
        if changed + gone and not tables and not self.made.ever_live & set(changed + gone):
            self.fault(
                "dead-hyperparameter", f"{self.subnet['only']} narrows only what never runs: {(changed + gone)[:5]}"
            )

    def double(self) -> None:
        """In double precision it computes what the masked model does in double precision."""
        x = self.made.inputs[0]
        wide = x.double() if x.is_floating_point() else x
        original = self.made.original.fresh().double()
        try:
            with torch.no_grad():
                full = tensors_of(original(wide.clone()))
                written = tensors_of(self.made.build(self.made.full).double()(wide.clone()))
        except RAISED:
            return
        if difference(full, written) > TOLERANCE:
            return  # a trace has its dtypes baked in
        with torch.no_grad():
            after = tensors_of(self.file.fresh().double()(wide.clone()))
            if self.inexact() is None:
                right = tensors_of(self.oracle(self.made.full).double()(wide.clone()))
            elif self.made.program.own_epsilon:
                self.skipped.append("in double precision: an epsilon that is the dtype's own")
                right = after
            elif difference(full, self.made.outputs[0]) > TOLERANCE:
                right = after
            else:
                right = tensors_of(self.load()(x.clone()))
        if (d := difference(after, right)) > TOLERANCE:
            self.fault("double", f"differs by {d:.2g} after .double()")
        stay = {str(y.dtype) for y in after} - {str(y.dtype) for y in full}
        if stay:
            self.fault("double", f"after .double() outputs are {sorted(stay)}")

    def other_weights(self) -> None:
        """Weights that are loaded act on what runs: the original's, changed, cut as the export cuts them."""
        if self.inexact() is not None:
            return
        generator = torch.Generator().manual_seed(self.made.tree["seed"] + 2)
        other = {}
        for name, tensor in self.made.full.items():
            scale = 1 + 0.3 * torch.rand(tensor.shape, generator=generator)
            other[name] = tensor * scale if tensor.is_floating_point() else tensor
        subnet = self.load()
        own = subnet.state_dict()
        if any(direction_of(name) is not None for name in own):
            return  # a rescaled factor isn't a slice
        state = {}
        for name, tensor in own.items():
            indices = self.kept.get(name)
            state[name] = tensor if indices is None else slice_of(other[name], indices)
            # An order of channels (a buffer of indices) is the export's own.
            if indices is None and tensor.is_floating_point() and tensor.shape == other[name].shape:
                state[name] = other[name]
        subnet.load_state_dict(state)
        oracle = self.oracle(other)
        x = self.made.inputs[0]
        with torch.no_grad():
            d = difference(tensors_of(subnet(x.clone())), tensors_of(oracle(x.clone())))
        if d > TOLERANCE:
            self.fault(
                "load-state", f"differs by {d:.2g} from the masked model after load_state_dict with other weights"
            )

    def round_trip(self) -> None:
        """Saved by Python and loaded again, and its own state loaded into it: it is the same."""
        first, copy = self.load(), self.made.folder / "again.pt"
        first.save(str(copy))
        again = torch.jit.load(str(copy)).eval()
        missing = again.load_state_dict(first.state_dict(), strict=True)
        if missing.missing_keys or missing.unexpected_keys:
            self.fault("round-trip", f"load_state_dict says {missing}")
        with torch.no_grad():
            x = self.made.inputs[0]
            d = difference(tensors_of(again(x.clone())), tensors_of(first(x.clone())))
        if d > 0 or set(again.state_dict()) != set(first.state_dict()):
            self.fault("round-trip", f"saved and loaded again it differs by {d:.2g}")

    def train(self) -> None:
        """In training mode it computes what the masked model does, where nothing is random; the same weights learn."""
        x = self.made.inputs[0]
        if any(LOST_TRAINING in sentence for sentence in self.subnet["said"]):
            self.skipped.append("in training mode: a branch that was said to be lost")
            return
        try:
            original = live_parameters(self.made.load(), x, train=True)
        except RAISED:
            return  # one value a channel, say
        model = self.load()
        names = {name for name, _ in model.named_parameters()}
        live = live_parameters(model, x, train=True)
        if (original & names) != live:
            self.fault(
                "train-gradient", f"in training mode gradients differ for {sorted((original & names) ^ live)[:5]}"
            )
        if self.inexact() is not None or self.made.program.random:
            return
        if not self.trains_as_written(x):
            return
        oracle = self.oracle(self.made.full).train()
        subnet = self.load().train()
        with torch.no_grad():
            actual, right = tensors_of(subnet(x.clone())), tensors_of(oracle(x.clone()))
        if (d := difference(actual, right)) > 10 * TOLERANCE:
            self.fault(
                "train-differs",
                f"in training mode it differs by {d:.2g} from the masked model: {shapes(actual)}, {shapes(right)}",
            )

    def trains_as_written(self, x: Tensor) -> bool:
        """Whether the original file in training mode computes what the module does; a trace has its mode baked in."""
        module = self.made.build(self.made.full).train()
        try:
            with torch.no_grad():
                actual, right = tensors_of(self.made.load().train()(x.clone())), tensors_of(module(x.clone()))
        except RAISED:
            return False
        return difference(actual, right) <= TOLERANCE

    def methods(self) -> None:
        """Exported methods and attributes are there and right, or were named as lost."""
        subnet, program = self.load(), self.made.program
        said = " ".join(self.subnet["said"])
        for name in [*program.methods, *program.attributes]:
            if not hasattr(subnet, name) and name not in said:
                self.fault("method-lost", f"{name} isn't in the export, and nothing said so")
        if self.inexact() is not None:
            return
        oracle = self.oracle(self.made.full)
        x = self.made.inputs[0]
        for name in program.methods:
            if not hasattr(subnet, name):
                continue

            def body(name=name) -> None:
                with torch.no_grad():
                    actual, right = getattr(subnet, name)(x.clone()), getattr(oracle, name)(x.clone())
                if (d := difference([actual], [right])) > TOLERANCE and name != "predict":
                    self.fault("method-differs", f"{name} differs by {d:.2g} from the masked model's")
                if name == "predict" and actual.shape != right.shape:
                    self.fault("method-differs", f"{name} gives {list(actual.shape)} instead of {list(right.shape)}")

            self.attempt("method-fails", body)


def judge(made: Made, subnet: dict) -> tuple[list[dict], list[str]]:
    judge = Judge(made, subnet)
    judge.attempt("judge", judge.judge)
    return judge.faults, judge.skipped
