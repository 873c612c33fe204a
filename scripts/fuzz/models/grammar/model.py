"""A model from the grammar: its tree, drawn from a seed, and the source code that a tree stands for."""

import random

from .known import is_known
from .layers_norm import HELPERS
from .registry import LAYERS, Draw, Node, emit_body, load_layers
from .writer import Program, State, Writer, project

Tree = dict

load_layers()

PRELUDE = """from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
"""

#: Sizes beside batch and channels, by kind of input.
SIZES = {
    "image": (2, 6, 9),
    "seq": (1, 6, 10),
    "vol": (3, 4, 5),
    "tokens": (1, 4, 8),
    "flat": (0, 0, 0),
    "ids": (1, 4, 8),
}
VOCABULARY = 11


def draw_nodes(rng: random.Random, kind: str, form: str, count: int, depth: int, keep: bool, known: bool) -> list[Node]:
    """Nodes one after the other. Without `known`, what is known to fail (known.py) is drawn again."""
    nodes: list[Node] = []
    while len(nodes) < count:
        options = [
            x
            for x in LAYERS.values()
            if kind in x.kinds and form in x.forms and (x.keeps or not keep) and (depth > 0 or x.op not in NESTED)
        ]
        found = rng.choices(options, [x.weight for x in options])[0]

        def body(_=None, kind=kind):
            return draw_nodes(rng, kind, form, rng.choice([1, 1, 2, 3]), depth - 1, True, known)

        node = {"op": found.op, **found.draw(Draw(rng, body, kind, keep, form))}
        if not known and is_known(node):
            continue
        nodes.append(node)
        kind = found.gives or kind
    return nodes


NESTED = {
    "split-sizes",
    "dictionary",
    "concat",
    "split",
    "sum",
    "residual",
    "branch",
    "optional",
    "module",
    "shared",
    "module-list",
    "module-dict",
    "loop",
    "u-net",
}
OUTPUTS = ("tensor", "tensor", "tensor", "tensor", "tuple", "list", "dict", "features", "aux")


def draw_tree(seed: int, index: int, known: bool = False) -> Tree:
    """Always the same tree for the same seed and index. Draws again where layers don't fit."""
    for attempt in range(50):
        tree = draw_once(random.Random(f"{seed}:{index}:{attempt}"), known)
        if not known and is_known({"op": "model", **tree}):
            continue
        try:
            write_source(tree)
            return tree
        except ValueError:
            continue
    return tree


def draw_once(rng: random.Random, known: bool) -> Tree:
    kind = rng.choices(["image", "tokens", "ids", "seq", "flat", "vol"], [5, 4, 2, 2, 2, 0.7])[0]
    dims, low, high = SIZES[kind]
    form = rng.choice(["script", "trace"])
    inner = "tokens" if kind == "ids" else kind
    return {
        "form": form,
        "input": {
            "kind": kind,
            "batch": rng.choice([1, 2, 2, 3]),
            "c": rng.choice([1, 3, 5]),
            "size": [rng.randint(low, high) for _ in range(dims)],
        },
        "enter": rng.choice([6, 8, 8, 12, 16]),
        "nodes": draw_nodes(rng, inner, form, rng.choice([1, 2, 3, 4, 5, 6]), 2, False, known),
        "pool": rng.random() < 0.75,
        "out": rng.choice(OUTPUTS),
        "method": rng.choice(["", "", "", "predict", "scaled", "energy"]) if form == "script" else "",
        "divisor": rng.choice([1, 2, 4]),
        "seed": rng.randrange(1 << 30),
    }


def write_source(tree: Tree) -> tuple[str, Program]:
    """The source of the tree's class `Net`. @raises ValueError where the tree is no model"""
    program = Program(tree["form"])
    w = Writer(program, "Net")
    shape = tree["input"]
    kind = shape["kind"]
    if kind == "ids":
        table = w.add(f"nn.Embedding({VOCABULARY}, {tree['enter']})")
        s = State(w.let(f"{table}(x)"), "tokens", tree["enter"], tuple(shape["size"]))
    else:
        s = State("x", kind, shape["c"], tuple(shape["size"]))
        s = project(w, s, tree["enter"])
    first = w.init[0]
    s = emit_body(w, s, tree["nodes"])
    features = s
    if tree["pool"] and s.kind != "flat":
        axes = (1,) if s.kind == "tokens" else s.spatial
        s = State(w.let(f"{s.var}.mean({axes})"), "flat", s.c, (), s.zero)
    y = project(w, s, 3)
    returns, result = write_result(w, tree["out"], features, y)
    write_method(w, tree["method"], first, result == y.var)
    w.finish(f"self, x: Tensor) -> {returns}", result)
    classes = [HELPERS[name] for name in sorted(program.helpers)] + program.classes
    return PRELUDE + "".join(f"\n\n{text}\n" for text in classes), program


def write_result(w: Writer, out: str, features: State, y: State) -> tuple[str, str]:
    if out == "tuple":
        return "Tuple[Tensor, Tensor]", f"{y.var}, {y.var}.softmax(1)"
    if out == "features":
        return "Tuple[Tensor, Tensor]", f"{y.var}, {features.var}"
    if out == "list":
        return "List[Tensor]", f"[{y.var}, {y.var} * 2]"
    if out == "dict" and w.scripted:
        return "Dict[str, Tensor]", f'{{"out": {y.var}, "twice": {y.var} * 2}}'
    if out == "aux" and w.scripted:
        module = w.add(
            f"nn.Conv{features.dims}d({features.c}, 5, 1)" if features.dims else f"nn.Linear({features.c}, 5)"
        )
        aux = w.fresh()
        w.line(f"{aux}: Optional[Tensor] = None")
        with w.block("if self.training:"):
            w.line(f"{aux} = {module}({features.var})")
        return "Tuple[Tensor, Optional[Tensor]]", f"{y.var}, {aux}"
    return "Tensor", y.var


def write_method(w: Writer, method: str, first: str, plain: bool) -> None:
    if not method or not plain:
        return
    if method == "predict":
        w.init.append('        self.classes = ["a", "b", "c"]')
        w.program.attributes.append("classes")
        w.methods += [
            "",
            "    @torch.jit.export",
            "    def predict(self, x: Tensor) -> Tensor:",
            "        return self.forward(x).argmax(1)",
        ]
    elif method == "scaled":
        w.init.append("        self.scale = 0.5")
        w.program.attributes.append("scale")
        w.methods += [
            "",
            "    @torch.jit.export",
            "    def scaled(self, x: Tensor) -> Tensor:",
            "        return self.forward(x) * self.scale",
        ]
    else:
        w.methods += [
            "",
            "    @torch.jit.export",
            "    def energy(self, x: Tensor) -> Tensor:",
            "        return self.m0(x).square().sum()",
        ]
    w.program.methods.append(method)


def input_shapes(tree: Tree) -> list[list[int]]:
    """The dummy input's shape, and others that the model may take: other batches, lengths and sizes."""
    x = tree["input"]
    channels = [] if x["kind"] == "ids" else [x["c"]]

    def shape(batch: int, size: list[int]) -> list[int]:
        return [batch, *size, *channels] if x["kind"] in ("tokens", "ids") else [batch, *channels, *size]

    shapes = [shape(x["batch"], x["size"]), shape(x["batch"] + 2, x["size"])]
    if x["batch"] > 1:
        shapes.append(shape(1, x["size"]))
    if x["size"]:
        shapes.append(shape(x["batch"], [n + 2 for n in x["size"]]))
        shapes.append(shape(x["batch"] + 1, [n + 5 for n in x["size"]]))
        shapes.append(shape(x["batch"], [max(2, n - 1) for n in x["size"]]))
    return shapes
