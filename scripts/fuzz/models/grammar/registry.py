"""The table of layers. A layer draws its numbers from a random generator, and writes itself for any state it meets."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .writer import State, Writer

Node = dict  # {"op": name, numbers and flags…, "bodies": [[Node, …], …]}


@dataclass(frozen=True)
class Layer:
    op: str
    kinds: tuple[str, ...]
    emit: Callable[[Writer, State, Node], State]
    draw: Callable[["Draw"], Node]
    weight: float
    #: What the activation is afterwards; None where it stays.
    gives: str | None
    #: Whether it keeps sizes (not channels), so that it may stand in a branch.
    keeps: bool
    forms: tuple[str, ...]


LAYERS: dict[str, Layer] = {}


@dataclass
class Draw:
    """What a layer draws from."""

    rng: Random
    #: Draws a body: a list of nodes that keep sizes, for the activation's kind.
    body: Callable[[str | None], list[Node]]
    kind: str
    keep: bool
    form: str

    def width(self) -> int:
        return self.rng.choice([4, 6, 8, 8, 12, 16])

    def pick(self, *options):
        return self.rng.choice(options)

    def chance(self, p: float) -> bool:
        return self.rng.random() < p


def layer(
    op: str,
    kinds: str,
    draw: Callable[[Draw], Node] = lambda d: {},
    *,
    weight: float = 1.0,
    gives: str | None = None,
    keeps: bool = True,
    forms: tuple[str, ...] = ("script", "trace"),
):
    def register(emit: Callable[[Writer, State, Node], State]):
        LAYERS[op] = Layer(op, tuple(kinds.split()), emit, draw, weight, gives, keeps, forms)
        return emit

    return register


def load_layers() -> None:
    """Every file of layers registers its own."""
    for found in pkgutil.iter_modules(__import__(__package__).__path__):
        if found.name.startswith("layers_"):
            importlib.import_module(f".{found.name}", __package__)


SPATIAL = "image seq vol"
ANY = "image seq vol tokens flat"


def emit_body(w: Writer, s: State, nodes: list[Node]) -> State:
    """Writes layers one after the other; one that can't take the activation's kind is left out."""
    for node in nodes:
        found = LAYERS[node["op"]]
        if s.kind in found.kinds and w.program.form in found.forms:
            s = found.emit(w, s, node)
    return s
