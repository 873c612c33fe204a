"""Convolutions, linear layers in their spellings, and shuffles of channels."""

from .registry import ANY, SPATIAL, layer
from .writer import State, Writer, divisor


def conv(
    w: Writer,
    s: State,
    width: int,
    k: int,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
    bias: bool = True,
    pad: int | None = None,
) -> State:
    pad = dilation * (k // 2) if pad is None else pad
    extra = "".join(
        f", {name}={value}"
        for name, value, usual in (
            ("stride", stride, 1),
            ("padding", pad, 0),
            ("dilation", dilation, 1),
            ("groups", groups, 1),
            ("bias", bias, True),
        )
        if value != usual
    )
    size = tuple((n + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for n in s.size)
    if min(size) < 1:
        raise ValueError("nothing is left")
    module = w.add(f"nn.Conv{s.dims}d({s.c}, {width}, {k}{extra})")
    return s.to(w.let(f"{module}({s.var})"), c=width, size=size, zero=True)


def draw_conv(d):
    return {
        "width": d.width(),
        "k": d.pick(1, 3, 3, 5),
        "stride": 1 if d.keep else d.pick(1, 1, 2),
        "groups": d.pick(1, 1, 1, 2, 4),
        "dilation": d.pick(1, 1, 1, 2),
        "bias": d.chance(0.7),
    }


@layer("conv", SPATIAL, draw_conv, weight=5)
def emit_conv(w, s, n):
    g = divisor(s.c, n["groups"])
    width = n["width"] if n["width"] % g == 0 else n["width"] * g
    return conv(w, s, width, n["k"], n["stride"], g, n["dilation"], n["bias"])


@layer("shrinking-conv", SPATIAL, lambda d: {"width": d.width(), "k": d.pick(2, 3)}, keeps=False)
def emit_valid(w, s, n):
    return conv(w, s, n["width"], n["k"], pad=0)


@layer("depthwise", SPATIAL, lambda d: {"k": d.pick(3, 5), "times": d.pick(1, 1, 2), "bias": d.chance(0.5)}, weight=2)
def emit_depthwise(w, s, n):
    return conv(w, s, s.c * n["times"], n["k"], 1, s.c, 1, n["bias"])


@layer("same-conv", "image seq", lambda d: {"width": d.width(), "mode": d.pick("same", "reflect", "circular")})
def emit_same(w, s, n):
    how = 'padding="same"' if n["mode"] == "same" else f'padding=1, padding_mode="{n["mode"]}"'
    module = w.add(f"nn.Conv{s.dims}d({s.c}, {n['width']}, 3, {how})")
    return s.to(w.let(f"{module}({s.var})"), c=n["width"], zero=True)


@layer("tall-conv", "image", lambda d: {"width": d.width(), "wide": d.chance(0.5)})
def emit_tall(w, s, n):
    k, p = ((1, 5), (0, 2)) if n["wide"] else ((5, 1), (2, 0))
    module = w.add(f"nn.Conv2d({s.c}, {n['width']}, {k}, padding={p})")
    return s.to(w.let(f"{module}({s.var})"), c=n["width"], zero=True)


@layer(
    "transposed", SPATIAL, lambda d: {"width": d.width(), "groups": d.pick(1, 1, 2, 99), "stride": 1 if d.keep else 2}
)
def emit_transposed(w, s, n):
    g = divisor(s.c, n["groups"])
    width = s.c if n["groups"] > s.c else n["width"] if n["width"] % g == 0 else n["width"] * g
    stride = n["stride"]
    k, pad = (3, 1) if stride == 1 else (2, 0)
    extra = f", groups={g}" if g > 1 else ""
    module = w.add(f"nn.ConvTranspose{s.dims}d({s.c}, {width}, {k}, {stride}, {pad}{extra})")
    return s.to(w.let(f"{module}({s.var})"), c=width, size=tuple(x * stride for x in s.size), zero=True)


@layer("weight-norm", "seq image", lambda d: {"width": d.width(), "new": d.chance(0.5)}, weight=0.5, forms=("trace",))
def emit_weight_norm(w, s, n):
    norm = "parametrizations.weight_norm" if n.get("new") else "weight_norm"
    module = w.add(f"nn.utils.{norm}(nn.Conv{s.dims}d({s.c}, {n['width']}, 3, padding=1))")
    return s.to(w.let(f"{module}({s.var})"), c=n["width"], zero=True)


@layer("pixel-shuffle", "image", keeps=False)
def emit_pixel_shuffle(w, s, n):
    s = conv(w, s, s.c * 4, 1)
    return s.to(w.let(f"F.pixel_shuffle({s.var}, 2)"), c=s.c // 4, size=tuple(2 * x for x in s.size))


@layer("pixel-unshuffle", "image", keeps=False)
def emit_pixel_unshuffle(w, s, n):
    if s.size[0] % 2 or s.size[1] % 2:
        raise ValueError("odd sizes")
    return s.to(w.let(f"F.pixel_unshuffle({s.var}, 2)"), c=s.c * 4, size=tuple(x // 2 for x in s.size))


@layer("channel-shuffle", "image seq", lambda d: {"groups": d.pick(2, 4), "spelling": d.pick("view", "call")})
def emit_channel_shuffle(w, s, n):
    g = divisor(s.c, n["groups"])
    if n["spelling"] == "call":
        return s.to(w.let(f"F.channel_shuffle({s.var}, {g})"))
    sizes = ", ".join(f"{s.var}.size({i})" for i in s.spatial)
    split = w.let(f"{s.var}.view({s.var}.size(0), {g}, {s.var}.size(1) // {g}, {sizes}).transpose(1, 2)")
    return s.to(w.let(f"{split}.reshape({s.var}.size(0), -1, {sizes})"))


SPELLINGS = ("module", "module", "module", "matmul", "functional", "einsum", "addmm", "bmm")


@layer(
    "linear",
    "tokens flat",
    lambda d: {"width": d.width(), "spelling": d.pick(*SPELLINGS), "bias": d.chance(0.8)},
    weight=5,
)
def emit_linear(w, s, n):
    width, x = n["width"], s.var
    if n["spelling"] == "module" or (
        n["spelling"] in ("addmm", "bmm") and s.kind == ("tokens" if n["spelling"] == "addmm" else "flat")
    ):
        module = w.add(f"nn.Linear({s.c}, {width}{'' if n['bias'] else ', bias=False'})")
        return s.to(w.let(f"{module}({x})"), c=width, zero=True)
    weight = w.add_parameter(*((width, s.c) if n["spelling"] == "functional" else (s.c, width)))
    bias = w.add_parameter(width) if n["bias"] else None
    plus = f" + {bias}" if bias else ""
    if n["spelling"] == "functional":
        expr = f"F.linear({x}, {weight}{f', {bias}' if bias else ''})"
    elif n["spelling"] == "einsum":
        n_ = "nt" if s.kind == "tokens" else "n"
        expr = f'torch.einsum("{n_}c,cd->{n_}d", {x}, {weight}){plus}'
    elif n["spelling"] == "addmm":
        expr = f"torch.addmm({bias}, {x}, {weight})" if bias else f"{x}.mm({weight})"
    elif n["spelling"] == "bmm":
        expr = f"torch.bmm({x}, {weight}.unsqueeze(0).expand({x}.size(0), -1, -1)){plus}"
    else:
        expr = f"{x} @ {weight}{plus}"
    return s.to(w.let(expr), c=width, zero=True)


@layer("mlp-over-tokens", "tokens", lambda d: {"hidden": d.width()}, weight=0.7)
def emit_token_mlp(w, s, n):
    """As in an MLP-mixer: the sequence's length is a width."""
    w.inexact("a mean over tokens that may be cut")
    a, b = w.add(f"nn.Linear({s.size[0]}, {n['hidden']})"), w.add(f"nn.Linear({n['hidden']}, {s.size[0]})")
    return s.to(w.let(f"{b}(F.gelu({a}({s.var}.transpose(1, 2)))).transpose(1, 2)"), zero=False)


@layer("bilinear", "flat", lambda d: {"width": d.width()}, weight=0.3)
def emit_bilinear(w, s, n):
    module = w.add(f"nn.Bilinear({s.c}, {s.c}, {n['width']})")
    return s.to(w.let(f"{module}({s.var}, {s.var})"), c=n["width"], zero=True)


ACTS = {
    "relu": "torch.relu({})",
    "gelu": "F.gelu({})",
    "silu": "F.silu({})",
    "tanh": "torch.tanh({})",
    "hardswish": "F.hardswish({})",
    "leaky": "F.leaky_relu({}, 0.1)",
    "elu": "F.elu({})",
    "relu6": "F.relu6({})",
    "mish": "F.mish({})",
    "abs": "{}.abs()",
    "sigmoid": "torch.sigmoid({})",
    "softplus": "F.softplus({})",
    "exp": "torch.exp(-{}.abs())",
    "square": "{}.square() * 0.1",
    "clamp": "{}.clamp(-1.0, 1.0)",
    "cos": "torch.cos({})",
}
NOT_ZERO = {"sigmoid", "softplus", "exp", "cos"}


@layer("act", ANY, lambda d: {"f": d.rng.choice(sorted(ACTS))}, weight=5)
def emit_act(w, s, n):
    return s.to(w.let(ACTS[n["f"]].format(s.var)), zero=s.zero and n["f"] not in NOT_ZERO)


@layer("prelu", ANY, lambda d: {"each": d.chance(0.7)}, weight=0.5)
def emit_prelu(w, s, n):
    if s.kind == "tokens":
        raise ValueError("prelu's channels are dimension 1")
    module = w.add(f"nn.PReLU({s.c if n['each'] else 1})")
    return s.to(w.let(f"{module}({s.var})"))


@layer("dropout", ANY, lambda d: {"p": d.pick(0.0, 0.5)}, weight=0.5)
def emit_dropout(w, s, n):
    if n["p"] > 0:
        w.program.random.add("dropout")
    module = w.add(f"nn.Dropout({n['p']})")
    return s.to(w.let(f"{module}({s.var})"))


@layer("softmax", ANY, weight=0.2)
def emit_softmax(w, s, n):
    w.inexact("softmax over channels")
    return s.to(w.let(f"{s.var}.softmax({s.axis})"), zero=False)
