"""Makes a model of a tree: its source, its file, its inputs, and how the original takes them."""

import importlib.util
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import torch
from grammar.model import VOCABULARY, Tree, input_shapes, write_source
from grammar.writer import Program
from safetensors.torch import save_file
from torch import Tensor, nn

from .outputs import RAISED, difference, direction_of, tensors_of

warnings.filterwarnings("ignore")


class Reloaded:
    """A file's module. Loading takes longer than most runs, so it is loaded once and put back as it was."""

    def __init__(self, file: Path | str) -> None:
        self.file = str(file)
        self.module: torch.jit.ScriptModule | None = None
        self.state: dict[str, Tensor] = {}
        self.learns: list[bool] = []

    def fresh(self) -> torch.jit.ScriptModule:
        """A module of its own, for what changes more than numbers and modes."""
        return torch.jit.load(self.file).eval()

    def take(self) -> torch.jit.ScriptModule:
        """The module as it was loaded: state, gradients and mode. It is the same object every time."""
        if self.module is None:
            self.module = self.fresh()
            self.state = {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}
            self.learns = [p.requires_grad for p in self.module.parameters()]
            return self.module
        with torch.no_grad():
            for name, tensor in self.module.state_dict().items():
                tensor.copy_(self.state[name])
        for p, learns in zip(self.module.parameters(), self.learns, strict=True):
            p.requires_grad_(learns)
            p.grad = None
        return self.module.eval()


@dataclass
class Made:
    tree: Tree
    source: str
    program: Program
    make: type
    folder: Path
    original: Reloaded
    full: dict[str, Tensor]
    inputs: list[Tensor]
    outputs: list[list[Tensor]]
    #: Whether the file computes what the module does at this input (a trace may have sizes baked in).
    as_written: list[bool]
    #: What receives a gradient at the dummy input; and at any input, in either mode.
    live: set[str]
    ever_live: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    facts: dict = field(default_factory=dict)

    def build(self, state: dict[str, Tensor]) -> nn.Module:
        """The module in Python, in evaluation mode, with this state."""
        model = self.make()
        model.load_state_dict(state)
        return model.eval()

    def load(self) -> torch.jit.ScriptModule:
        return self.original.take()


def unique_numbers(model: nn.Module, generator: torch.Generator) -> None:
    """Fills parameters and statistics with numbers that are unique in their tensor, and keep signals alive."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point() or tensor.numel() == 0:
                continue
            n = tensor.numel()
            spread = ((torch.randperm(n, generator=generator) + 0.5) / n * 2 - 1).view(tensor.shape)
            if name.endswith("running_var"):
                tensor.copy_(spread * 0.4 + 1)
            elif tensor.dim() > 1 and direction_of(name) is None:
                fan = tensor[0].numel()
                tensor.copy_(spread * min(1.0, 1.5 / fan**0.5))
            elif name.endswith("weight") or direction_of(name) is not None:
                tensor.copy_(spread * 0.5 + 1)
            else:
                tensor.copy_(spread * 0.5 + 0.03)


def load_class(source: str, file: Path) -> type:
    file.write_text(source)
    name = f"fuzz_{file.parent.name}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # TorchScript looks names up in the module
    spec.loader.exec_module(module)
    return module.Net


def make_inputs(tree: Tree) -> list[Tensor]:
    generator = torch.Generator().manual_seed(tree["seed"])
    if tree["input"]["kind"] == "ids":
        return [torch.randint(0, VOCABULARY, shape, generator=generator) for shape in input_shapes(tree)]
    return [torch.randn(shape, generator=generator) for shape in input_shapes(tree)]


def make(tree: Tree, folder: Path) -> Made:
    """@raises Exception where the tree is no model: layers that don't fit, or that PyTorch can't script or trace"""
    source, program = write_source(tree)
    folder.mkdir(parents=True, exist_ok=True)
    net = load_class(source, folder / "model.py")
    torch.manual_seed(tree["seed"])
    model = net()
    generator = torch.Generator().manual_seed(tree["seed"] + 1)
    unique_numbers(model, generator)
    model.eval()
    inputs = make_inputs(tree)
    with torch.no_grad():
        expected = tensors_of(model(inputs[0].clone()))
    size = max(float(y.abs().max()) if y.numel() else 0.0 for y in expected)
    if not 1e-3 < size < 1e4:
        raise ValueError(f"outputs of size {size}")
    file = folder / "model.pt"
    scripted = (
        torch.jit.script(model) if tree["form"] == "script" else torch.jit.trace(model, inputs[0], check_trace=False)
    )
    scripted.save(str(file))
    full = {k: v.detach().clone() for k, v in model.state_dict().items()}
    made = Made(tree, source, program, net, folder, Reloaded(file), full, [], [], [], set())
    take_inputs(made, model, inputs)
    if not made.inputs:
        raise ValueError("the file doesn't take its dummy input")
    made.live = live_parameters(made.load(), made.inputs[0])
    made.ever_live = set(made.live)
    made.parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for x in made.inputs:
        for train in (False, True):
            try:
                made.ever_live |= live_parameters(made.load(), x, train)
            except RAISED:
                continue  # one value a channel, in training mode
    save_file({f"input{i}": x for i, x in enumerate(made.inputs)}, str(folder / "inputs.safetensors"))
    return made


def take_inputs(made: Made, model: nn.Module, inputs: list[Tensor]) -> None:
    """Keeps the inputs that the original file takes, with its outputs."""
    loaded = made.load()
    with torch.no_grad():
        for i, x in enumerate(inputs):
            try:
                actual = tensors_of(loaded(x.clone()))
            except RAISED:
                if i == 0:
                    return
                continue
            try:
                written = difference(actual, tensors_of(model(x.clone()))) < 1e-4
            except RAISED:
                written = False
            if i == 0 and not written:
                raise ValueError("the file computes something else than the module")
            made.inputs.append(x)
            made.outputs.append(actual)
            made.as_written.append(written)


def live_parameters(loaded: nn.Module, x: Tensor, train: bool = False) -> set[str]:
    """The parameters that receive a gradient."""
    return set(gradients_of(loaded, x, train)[0])


def gradients_of(loaded: nn.Module, x: Tensor, train: bool = False) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The gradients of a sum of all outputs, by parameter; and the outputs."""
    loaded.train(train)
    for p in loaded.parameters():
        p.requires_grad_(True)
        p.grad = None
    torch.manual_seed(0)
    outputs = tensors_of(loaded(x.clone()))
    total = sum(
        (y.float() * torch.linspace(0.5, 1.5, y.numel()).view(y.shape)).sum()
        for y in outputs
        if y.is_floating_point()
    )
    if not isinstance(total, Tensor) or not total.requires_grad:
        return {}, outputs
    total.backward()
    loaded.eval()
    return {name: p.grad for name, p in loaded.named_parameters() if p.grad is not None}, outputs
