"""Tables, branches, containers, shared and unused weights."""

from .registry import ANY, SPATIAL, emit_body, layer
from .writer import State, Writer, match, project

SILENT = "a block that zero weights may not silence"


@layer("position-table", "tokens", lambda d: {"spelling": d.pick("parameter", "embedding", "ids", "buffer")}, weight=2)
def emit_position(w: Writer, s: State, n) -> State:
    t, most = f"{s.var}.size(1)", s.size[0] + 24
    if n["spelling"] == "parameter":
        return s.to(w.let(f"{s.var} + {w.add_parameter(1, most, s.c)}[:, :{t}]"))
    if n["spelling"] == "buffer":
        return s.to(w.let(f"{s.var} + {w.add_buffer(f'torch.randn({most}, {s.c})')}[:{t}]"))
    table = w.add(f"nn.Embedding({most}, {s.c})")
    if n["spelling"] == "ids":
        ids = w.add_buffer(f"torch.arange({most})[None]")
        return s.to(w.let(f"{s.var} + {table}({ids}[:, :{t}])"))
    return s.to(w.let(f"{s.var} + {table}(torch.arange({t}))"))


@layer("image-positions", "image", weight=0.5)
def emit_image_positions(w: Writer, s: State, n) -> State:
    table = w.add_parameter(1, s.c, s.size[0] + 8, s.size[1] + 8)
    return s.to(w.let(f"{s.var} + {table}[:, :, :{s.var}.size(2), :{s.var}.shape[3]]"))


@layer("class-token", "tokens", weight=0.7, keeps=False)
def emit_class_token(w: Writer, s: State, n) -> State:
    token = w.add_parameter(1, 1, s.c)
    return s.to(w.let(f"torch.cat([{token}.expand({s.var}.size(0), -1, -1), {s.var}], dim=1)"), size=(s.size[0] + 1,))


def same(a: State, b: State) -> None:
    if (a.kind, a.size) != (b.kind, b.size):
        raise ValueError("branches of other sizes")


@layer(
    "branch",
    ANY,
    lambda d: {"on": d.pick("flag", "no-flag", "size", "training", "length"), "bodies": [d.body(None), d.body(None)]},
    weight=2,
)
def emit_branch(w: Writer, s: State, n) -> State:
    """Both sides have the channels of the first."""
    if n["on"] in ("flag", "no-flag"):
        condition = w.add("True" if n["on"] == "flag" else "False")
    elif n["on"] == "training":
        condition = "self.training"
    else:
        condition = f"{s.var}.size(0) > 1" if n["on"] == "size" else f"{s.var}.size({s.rank - 1}) > 1"
    y = w.fresh()
    with w.block(f"if {condition}:"):
        a = emit_body(w, s, n["bodies"][0])
        same(a, s)
        w.line(f"{y} = {a.var}")
    with w.block("else:"):
        b = match(w, emit_body(w, s, n["bodies"][1]), a.c)
        same(b, s)
        w.line(f"{y} = {b.var}")
    return s.to(y, c=a.c, zero=a.zero and b.zero)


@layer(
    "optional",
    ANY,
    lambda d: {"there": d.chance(0.5), "spelling": d.pick("module", "parameter", "method"), "bodies": [d.body(None)]},
    weight=1,
)
def emit_optional(w: Writer, s: State, n) -> State:
    if n["spelling"] == "module":
        layer_ = w.add(
            ("nn.Conv%dd(%d, %d, 1)" % (s.dims, s.c, s.c) if s.dims else f"nn.Linear({s.c}, {s.c})")
            if n["there"]
            else "None"
        )
        x = w.let(s.var)
        with w.block(f"if {layer_} is not None:"):
            w.line(f"{x} = {layer_}({x})")
        return s.to(x)
    there = n["there"]
    value = s.by_channel("scale")
    if n["spelling"] == "parameter":
        name = w.add(f"nn.Parameter(torch.randn({s.c}))" if there else "None")
        scale = w.let(name)
    else:
        name = w.add_parameter(s.c)
        method = f"scale_of_{name.removeprefix('self.')}"
        w.methods += ["", f"    def {method}(self) -> Optional[Tensor]:", f"        return {name if there else 'None'}"]
        scale = w.let(f"self.{method}()")
    x = w.let(s.var)
    with w.block(f"if {scale} is not None:"):
        w.line(f"{x} = {x} * {value.replace('scale', scale)}")
    return s.to(x)


def submodule(w: Writer, s: State, nodes, width: int | None = None, returns: str = "tensor") -> tuple[str, State]:
    """A class of its own around a body; gives an expression that makes one, and the state after it."""
    inner = Writer(w.program, w.program.unique("Block"))
    y = emit_body(inner, s.to("x"), nodes)
    if width is not None:
        y = match(inner, y, width)
    if not inner.init:
        y = project(inner, y, y.c)
    if returns == "tuple":
        inner.finish("self, x: Tensor) -> Tuple[Tensor, Tensor]", f"x, {y.var}")
    elif returns == "named":
        w.program.helpers.add("Pair")
        inner.finish("self, x: Tensor) -> Pair", f"Pair(x, {y.var})")
    elif returns == "list":
        inner.finish("self, x: Tensor) -> List[Tensor]", f"[x, {y.var}]")
    elif returns == "dict":
        inner.finish("self, x: Tensor) -> Dict[str, Tensor]", f'{{"before": x, "after": {y.var}}}')
    else:
        inner.finish("self, x: Tensor) -> Tensor", y.var)
    return f"{inner.name}()", y


@layer(
    "module",
    ANY,
    lambda d: {
        "bodies": [d.body(None)],
        "returns": d.pick("tensor", "tensor", "tuple", "list", "dict", "named"),
    },
    weight=2,
)
def emit_submodule(w: Writer, s: State, n) -> State:
    make, y = submodule(w, s, n["bodies"][0], returns=n["returns"])
    call = f"{w.add(make)}({s.var})"
    take = {"tensor": "", "tuple": "[1]", "list": "[1]", "named": ".after", "dict": '["after"]'}[n["returns"]]
    return y.to(w.let(f"{call}{take}"))


@layer("shared", ANY, lambda d: {"bodies": [d.body(None)], "add": d.chance(0.6)}, weight=1)
def emit_shared(w: Writer, s: State, n) -> State:
    """The same module twice."""
    make, y = submodule(w, s, n["bodies"][0], s.c)
    same(y, s)
    module = w.add(make)
    w.program.inexact_depth.add("a block that is called twice")
    if n["add"]:
        x = w.let(f"{s.var} + {module}({s.var})")
        return s.to(w.let(f"{x} + {module}({x})"), zero=s.zero and y.zero)
    return s.to(w.let(f"{module}({module}({s.var}))"), zero=y.zero)


@layer(
    "module-list",
    ANY,
    lambda d: {
        "count": d.pick(2, 3),
        "bodies": [d.body(None)],
        "use": d.pick("chain", "residual", "cat", "sum", "zip"),
    },
    weight=2,
)
def emit_module_list(w: Writer, s: State, n) -> State:
    make, y = submodule(w, s, n["bodies"][0], s.c)
    same(y, s)
    modules = w.add(f"nn.ModuleList([{make} for _ in range({n['count']})])")
    if n["use"] in ("chain", "residual"):
        x = w.let(s.var)
        if n["use"] == "residual":
            w.program.inexact_depth.add(SILENT)
        with w.block(f"for block in {modules}:"):
            w.line(f"{x} = {x} + block({x})" if n["use"] == "residual" else f"{x} = block({x})")
        return s.to(x, zero=y.zero and (s.zero or n["use"] == "chain"))
    if n["use"] == "zip":
        scales = w.add(f"nn.ParameterList([nn.Parameter(torch.randn({s.c})) for _ in range({n['count']})])")
        if w.scripted:
            raise ValueError("TorchScript has no ParameterList in loops beside modules")
        x = w.let(s.var)
        with w.block(f"for block, scale in zip({modules}, {scales}):"):
            w.line(f"{x} = block({x}) * {s.by_channel('scale')}")
        return s.to(x, zero=True)
    ys = w.fresh()
    w.line(f"{ys}: List[Tensor] = []")
    with w.block(f"for block in {modules}:"):
        w.line(f"{ys}.append(block({s.var}))")
    if n["use"] == "cat":
        return s.to(w.let(f"torch.cat({ys}, dim={s.axis})"), c=s.c * n["count"], zero=y.zero)
    return s.to(w.let(f"torch.stack({ys}).sum(0)"), zero=y.zero)


@layer(
    "module-dict", ANY, lambda d: {"bodies": [d.body(None), d.body(None)], "use": d.pick("items", "key")}, weight=0.7
)
def emit_module_dict(w: Writer, s: State, n) -> State:
    makes = [submodule(w, s, body, s.c) for body in n["bodies"]]
    for _, y in makes:
        same(y, s)
    modules = w.add(f'nn.ModuleDict({{"a": {makes[0][0]}, "b": {makes[1][0]}}})')
    x = w.let(s.var)
    if n["use"] == "items":
        with w.block(f"for name, block in {modules}.items():"):
            w.line(f"{x} = block({x})")
        return s.to(x, zero=makes[1][1].zero)
    # `b` alone is used, and `a` never runs.
    w.program.inexact_depth.add(SILENT)
    return s.to(w.let(f'{modules}["b"]({s.var}) + {s.var}'), zero=makes[1][1].zero and s.zero)


@layer(
    "sequential",
    ANY,
    lambda d: {"width": d.width(), "act": d.pick("nn.ReLU()", "nn.GELU()", "nn.SiLU(inplace=True)", "nn.Identity()")},
    weight=2,
)
def emit_sequential(w: Writer, s: State, n) -> State:
    if s.dims:
        first, second = (f"nn.Conv{s.dims}d({a}, {b}, 3, padding=1)" for a, b in ((s.c, n["width"]), (n["width"], s.c)))
    else:
        first, second = (f"nn.Linear({a}, {b})" for a, b in ((s.c, n["width"]), (n["width"], s.c)))
    module = w.add(f"nn.Sequential({first}, {n['act']}, {second})")
    return s.to(w.let(f"{module}({s.var})"), zero=True)


@layer("unused", ANY, lambda d: {"what": d.pick("linear", "sequence", "parameter", "buffer")}, weight=1)
def emit_unused(w: Writer, s: State, n) -> State:
    if n["what"] == "parameter":
        w.add_parameter(s.c, 6)
    elif n["what"] == "buffer":
        w.add_buffer(f"torch.randn({s.c})")
    elif n["what"] == "linear":
        w.add(f"nn.Linear({s.c}, 8)")
    else:
        w.add(f"nn.Sequential(nn.Conv2d({s.c}, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))")
    return s


@layer("tied", "tokens flat", weight=0.5)
def emit_tied(w: Writer, s: State, n) -> State:
    """There and back by the same weight."""
    weight = w.add_parameter(8, s.c)
    h = w.let(f"torch.relu(F.linear({s.var}, {weight}))")
    return s.to(w.let(f"{h} @ {weight}"), zero=True)


@layer("dtype-of-weight", ANY, weight=0.5)
def emit_dtype(w: Writer, s: State, n) -> State:
    make = f"nn.Conv{s.dims}d({s.c}, {s.c}, 1)" if s.dims else f"nn.Linear({s.c}, {s.c})"
    module = w.add(make)
    w.program.inexact_depth.add("a left-out weight that may stay for its dtype")
    x = w.let(f"{s.var}.to({module}.weight.dtype)")
    return s.to(w.let(f"{x} + {module}({x})"))


@layer("shape-only", "tokens", weight=0.5)
def emit_shape_only(w: Writer, s: State, n) -> State:
    shape = w.let(f"{s.var}[:, :, -1].shape")
    table = w.add(f"nn.Embedding({s.size[0] + 26}, {s.c})")
    return s.to(w.let(f"{s.var} + {table}(torch.arange(0, {shape}[1]).expand({shape}[0], -1) + 2)"))


@layer("assertion", SPATIAL, weight=0.3, forms=("script",))
def emit_assertion(w: Writer, s: State, n) -> State:
    w.line(f'assert {s.var}.size(1) == {s.c}, "other channels"')
    return s


@layer(
    "loop",
    ANY,
    lambda d: {"times": d.pick(2, 3), "bodies": [d.body(None)], "spelling": d.pick("for", "while")},
    weight=0.5,
)
def emit_loop(w: Writer, s: State, n) -> State:
    """One module, several times, in a loop."""
    make, y = submodule(w, s, n["bodies"][0], s.c)
    same(y, s)
    module = w.add(make)
    w.program.inexact_depth.add("a block that is called twice")
    x = w.let(s.var)
    if n["spelling"] == "for":
        with w.block(f"for i in range({n['times']}):"):
            w.line(f"{x} = {module}({x})")
    else:
        i = w.let("0")
        with w.block(f"while {i} < {n['times']}:"):
            w.line(f"{x} = {module}({x})")
            w.line(f"{i} += 1")
    return s.to(x, zero=y.zero)
