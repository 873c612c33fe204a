"""Gates: products of activations."""

from .registry import ANY, SPATIAL, layer
from .writer import divisor, project


@layer(
    "squeeze-excite",
    SPATIAL,
    lambda d: {"hidden": d.pick(2, 4, 8), "convs": d.chance(0.5), "hard": d.chance(0.3)},
    weight=2,
)
def emit_squeeze_excite(w, s, n):
    sigmoid = "F.hardsigmoid" if n["hard"] else "torch.sigmoid"
    if n["convs"]:
        a, b = w.add(f"nn.Conv{s.dims}d({s.c}, {n['hidden']}, 1)"), w.add(f"nn.Conv{s.dims}d({n['hidden']}, {s.c}, 1)")
        gate = w.let(f"{sigmoid}({b}(torch.relu({a}({s.var}.mean({s.spatial}, keepdim=True)))))")
    else:
        a, b = w.add(f"nn.Linear({s.c}, {n['hidden']})"), w.add(f"nn.Linear({n['hidden']}, {s.c})")
        shape = f"{s.var}.size(0), {s.var}.size(1){', 1' * s.dims}"
        gate = w.let(f"{sigmoid}({b}(torch.relu({a}({s.var}.mean({s.spatial}))))).view({shape})")
    return s.to(w.let(f"{s.var} * {gate}"))


@layer("channel-conv-gate", "image", lambda d: {"k": d.pick(3, 5)}, weight=0.5)
def emit_eca(w, s, n):
    """ECA: a convolution over the channels' means. Its neighbours count, so channels stay whole."""
    w.inexact("a convolution over channels")
    conv = w.add(f"nn.Conv1d(1, 1, {n['k']}, padding={n['k'] // 2}, bias=False)")
    gate = w.let(f"torch.sigmoid({conv}({s.var}.mean((2, 3)).unsqueeze(1))).squeeze(1)[:, :, None, None]")
    return s.to(w.let(f"{s.var} * {gate}"))


@layer(
    "glu",
    ANY,
    lambda d: {"width": d.width(), "spelling": d.pick("call", "chunk", "split", "slice", "tensor_split")},
    weight=2,
)
def emit_glu(w, s, n):
    width = n["width"]
    s = project(w, s, 2 * width)
    if n["spelling"] == "call":
        return s.to(w.let(f"F.glu({s.var}, dim={s.axis})"), c=width)
    return s.to(w.let("{} * torch.sigmoid({})".format(*halves(w, s, n["spelling"], width))), c=width)


def halves(w, s, spelling: str, width: int) -> tuple[str, str]:
    a, b = w.fresh(), w.fresh()
    before = ":, " * s.axis
    expr = {
        "chunk": f"{s.var}.chunk(2, dim={s.axis})",
        "split": f"torch.split({s.var}, [{width}, {width}], dim={s.axis})",
        "tensor_split": f"torch.tensor_split({s.var}, 2, dim={s.axis})",
        "slice": f"{s.var}[{before}:{width}], {s.var}[{before}{width}:]",
    }[spelling]
    w.line(f"{a}, {b} = {expr}")
    return a, b


@layer(
    "gated-mlp",
    "tokens flat",
    lambda d: {"width": d.width(), "f": d.pick("F.silu", "F.gelu", "torch.sigmoid")},
    weight=2,
)
def emit_gated_mlp(w, s, n):
    a, b, c = (
        w.add(f"nn.Linear({i}, {o}, bias=False)") for i, o in ((s.c, n["width"]), (s.c, n["width"]), (n["width"], s.c))
    )
    return s.to(w.let(f"{c}({n['f']}({a}({s.var})) * {b}({s.var}))"), zero=True)


@layer("layer-scale", ANY, weight=1)
def emit_layer_scale(w, s, n):
    return s.to(w.let(f"{s.var} * {s.by_channel(w.add_parameter(s.c))}"), zero=True)


@layer("channel-bias", ANY, weight=0.7)
def emit_channel_bias(w, s, n):
    return s.to(w.let(f"{s.var} + {s.by_channel(w.add_parameter(s.c))}"))


@layer("highway", "tokens flat", weight=0.7)
def emit_highway(w, s, n):
    t, h = w.add(f"nn.Linear({s.c}, {s.c})"), w.add(f"nn.Linear({s.c}, {s.c})")
    gate = w.let(f"torch.sigmoid({t}({s.var}))")
    return s.to(w.let(f"{gate} * torch.tanh({h}({s.var})) + (1 - {gate}) * {s.var}"))


@layer("spatial-gate", "image", weight=0.6)
def emit_spatial_gate(w, s, n):
    """CBAM's: the mean and the largest of all channels."""
    w.inexact("a mean over channels")
    conv = w.add("nn.Conv2d(2, 1, 3, padding=1)")
    pooled = w.let(f"torch.cat([{s.var}.mean(1, keepdim=True), {s.var}.amax(1, keepdim=True)], 1)")
    return s.to(w.let(f"{s.var} * torch.sigmoid({conv}({pooled}))"))


@layer(
    "gram",
    "tokens image",
    lambda d: {"width": d.pick(3, 4, 6), "out": d.width()},
    weight=0.3,
    gives="flat",
    keeps=False,
)
def emit_gram(w, s, n):
    """Products of all pairs of channels, as style losses and bilinear pooling have them."""
    s = project(w, s, n["width"])
    flat = w.let(f"{s.var}.flatten(2)") if s.dims else w.let(f"{s.var}.transpose(1, 2)")
    gram = w.let(f"torch.bmm({flat}, {flat}.transpose(1, 2)).flatten(1)")
    leave = w.add(f"nn.Linear({n['width'] ** 2}, {n['out']})")
    return s.to(w.let(f"{leave}({gram})"), kind="flat", size=(), c=n["out"], zero=True)


@layer("outer", "flat", lambda d: {"a": d.pick(3, 4), "b": d.pick(2, 4), "out": d.width()}, weight=0.4)
def emit_outer(w, s, n):
    a, b = project(w, s, n["a"]), project(w, s, n["b"])
    leave = w.add(f"nn.Linear({n['a'] * n['b']}, {n['out']})")
    return s.to(w.let(f"{leave}(({a.var}.unsqueeze(2) * {b.var}.unsqueeze(1)).flatten(1))"), c=n["out"], zero=True)


@layer("experts", "flat tokens", lambda d: {"count": d.pick(2, 3), "width": d.width()}, weight=0.6)
def emit_experts(w, s, n):
    """A mixture of experts in one parameter, weighted by a gate."""
    w.inexact("a softmax over experts that may be cut")
    gate = w.add(f"nn.Linear({s.c}, {n['count']})")
    up, down = w.add_parameter(n["count"], s.c, n["width"]), w.add_parameter(n["count"], n["width"], s.c)
    i = "nt" if s.kind == "tokens" else "n"
    g = w.let(f"{gate}({s.var}).softmax(-1)")
    h = w.let(f'torch.relu(torch.einsum("{i}c,ecw->{i}ew", {s.var}, {up}))')
    return s.to(w.let(f'torch.einsum("{i}ew,ewc,{i}e->{i}c", {h}, {down}, {g})'), zero=True)


@layer("codebook", "tokens", lambda d: {"entries": d.pick(3, 4)}, weight=0.3)
def emit_codebook(w, s, n):
    """Soft assignment to clusters (NetVLAD): attention over rows of a parameter."""
    w.inexact("a softmax over rows that may be cut")
    centers = w.add_parameter(n["entries"], s.c)
    weight = w.let(f"({s.var} @ {centers}.t()).softmax(-1)")
    return s.to(w.let(f"{weight} @ {centers}"), zero=True)


@layer("grouped-linear", "tokens", lambda d: {"groups": d.pick(2, 4), "width": d.pick(2, 4)}, weight=0.5)
def emit_grouped_linear(w, s, n):
    g = divisor(s.c, n["groups"])
    weight = w.add_parameter(g, s.c // g, n["width"])
    parts = w.let(f"{s.var}.view({s.var}.size(0), {s.var}.size(1), {g}, {s.c // g})")
    y = w.let(f'torch.einsum("ntgc,gcd->ntgd", {parts}, {weight}).flatten(2)')
    return s.to(y, c=g * n["width"], zero=True)
