"""What a layer of the grammar writes with: source code of nn.Modules, and the state that passes from layer to layer."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

#: Kinds of activations, with their shape.
KINDS = ("image", "seq", "vol", "tokens", "flat")  # [N,C,H,W], [N,C,L], [N,C,D,H,W], [N,T,C], [N,C]


@dataclass(frozen=True)
class State:
    """An activation: the variable that holds it, its kind, its channels and its other sizes at the dummy input."""

    var: str
    kind: str
    c: int
    size: tuple[int, ...]
    #: Whether a channel whose weights are all zero is zero here.
    zero: bool = True

    @property
    def axis(self) -> int:
        return 2 if self.kind == "tokens" else 1

    @property
    def dims(self) -> int:
        return {"image": 2, "seq": 1, "vol": 3}.get(self.kind, 0)

    @property
    def spatial(self) -> tuple[int, ...]:
        return tuple(range(2, 2 + self.dims))

    @property
    def rank(self) -> int:
        return 2 + len(self.size)

    def to(self, var: str, **changes) -> "State":
        return replace(self, var=var, **changes)

    def by_channel(self, expr: str) -> str:
        """A vector of one number a channel, in a shape that broadcasts."""
        return f"{expr}.view(1, -1{', 1' * self.dims})" if self.dims else expr


@dataclass
class Program:
    """A whole model: its classes, and what an oracle has to know."""

    form: str
    classes: list[str] = field(default_factory=list)
    helpers: set[str] = field(default_factory=set)
    #: Why masking with zeros is not the subnet: always, or where a block is left out.
    inexact: set[str] = field(default_factory=set)
    inexact_depth: set[str] = field(default_factory=set)
    #: Why the training mode isn't compared.
    random: set[str] = field(default_factory=set)
    #: Whether a norm's epsilon is the dtype's own, so that double precision computes something else.
    own_epsilon: bool = False
    methods: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    count: int = 0

    def unique(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"


class Writer:
    """Writes one class."""

    def __init__(self, program: Program, name: str) -> None:
        self.program = program
        self.name = name
        self.init: list[str] = []
        self.body: list[str] = []
        self.methods: list[str] = []
        self.attributes = 0
        self.variables = 0
        self.depth = 2

    @property
    def scripted(self) -> bool:
        return self.program.form == "script"

    def add(self, expr: str) -> str:
        """A submodule, parameter or constant of the class."""
        name = f"self.m{self.attributes}"
        self.attributes += 1
        self.init.append(f"        {name} = {expr}")
        return name

    def add_buffer(self, expr: str) -> str:
        name = f"b{self.attributes}"
        self.attributes += 1
        self.init.append(f'        self.register_buffer("{name}", {expr})')
        return f"self.{name}"

    def add_parameter(self, *shape: int) -> str:
        return self.add(f"nn.Parameter(torch.randn({', '.join(map(str, shape))}))")

    def fresh(self) -> str:
        self.variables += 1
        return f"x{self.variables}"

    def line(self, text: str) -> None:
        self.body.append("    " * self.depth + text)

    def let(self, expr: str, name: str | None = None) -> str:
        name = name or self.fresh()
        self.line(f"{name} = {expr}")
        return name

    @contextlib.contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.line(head)
        self.depth += 1
        yield
        self.depth -= 1

    def inexact(self, reason: str) -> None:
        self.program.inexact.add(reason)

    def finish(self, signature: str, result: str) -> None:
        self.line(f"return {result}")
        lines = [f"class {self.name}(nn.Module):", "    def __init__(self) -> None:", "        super().__init__()"]
        lines += [*self.init, "", f"    def forward({signature}:", *self.body, *self.methods]
        self.program.classes.append("\n".join(lines))


def project(w: Writer, s: State, width: int, bias: bool = True) -> State:
    """A layer that mixes channels and nothing else."""
    if s.dims:
        layer = w.add(f"nn.Conv{s.dims}d({s.c}, {width}, 1{'' if bias else ', bias=False'})")
    else:
        layer = w.add(f"nn.Linear({s.c}, {width}{'' if bias else ', bias=False'})")
    return s.to(w.let(f"{layer}({s.var})"), c=width, zero=True)


def match(w: Writer, s: State, width: int) -> State:
    return s if s.c == width else project(w, s, width)


def divisor(c: int, wanted: int) -> int:
    """The largest number up to `wanted` that divides c."""
    return next(g for g in range(max(1, min(wanted, c)), 0, -1) if c % g == 0)
