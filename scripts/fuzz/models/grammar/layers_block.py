"""Blocks of well-known networks: whole arrangements rather than single layers."""

from .registry import SPATIAL, emit_body, layer
from .writer import State, Writer, divisor, project


def square(w: Writer, s: State, width: int, k: int = 3) -> str:
    """A convolution that keeps sizes."""
    return w.add(f"nn.Conv{s.dims}d({s.c}, {width}, {k}, padding={k // 2})")


@layer(
    "u-net",
    "image seq",
    lambda d: {"width": d.width(), "up": d.pick("interpolate", "transposed"), "bodies": [d.body(None)]},
)
def emit_u_net(w: Writer, s: State, n) -> State:
    """Down, some layers, up to the size of the skip connection, concatenated with it."""
    if min(s.size) < 2:
        raise ValueError("too small")
    small = s.to(w.let(f"F.max_pool{s.dims}d({s.var}, 2)"), size=tuple(x // 2 for x in s.size))
    small = emit_body(w, small, n["bodies"][0])
    if n["up"] == "interpolate":
        up = w.let(f"F.interpolate({project(w, small, n['width']).var}, size={s.var}.shape[2:])")
    elif any(x % 2 for x in s.size):
        raise ValueError("odd sizes")
    else:
        layer_ = w.add("nn.ConvTranspose{}d({}, {}, 2, 2)".format(s.dims, small.c, n["width"]))
        up = w.let(f"{layer_}({small.var})")
    return s.to(w.let(f"torch.cat([{s.var}, {up}], dim=1)"), c=s.c + n["width"])


@layer("dense-block", SPATIAL, lambda d: {"growth": d.pick(2, 4), "count": d.pick(2, 3), "norm": d.chance(0.6)})
def emit_dense_block(w: Writer, s: State, n) -> State:
    """DenseNet's: each layer sees all before it."""
    features = w.fresh()
    w.line(f"{features} = [{s.var}]")
    c = s.c
    for _ in range(n["count"]):
        x = w.let(f"torch.cat({features}, 1)")
        if n["norm"]:
            norm = w.add(f"nn.BatchNorm{s.dims}d({c})")
            x = w.let(f"torch.relu({norm}({x}))")
        conv = square(w, s.to(x, c=c), n["growth"])
        w.line(f"{features}.append({conv}({x}))")
        c += n["growth"]
    return s.to(w.let(f"torch.cat({features}, 1)"), c=c, zero=s.zero)


@layer("hierarchical-split", "image seq", lambda d: {"width": d.pick(2, 4), "count": d.pick(3, 4)}, weight=0.7)
def emit_hierarchical(w: Writer, s: State, n) -> State:
    """Res2Net's: each part is added to what the part before it gave."""
    s = project(w, s, n["width"] * n["count"])
    parts = w.let(f"{s.var}.chunk({n['count']}, dim=1)")
    y = w.let(f"{parts}[0]")
    ys = [y]
    for i in range(1, n["count"]):
        conv = square(w, s.to(y, c=n["width"]), n["width"])
        y = w.let(f"{conv}({parts}[{i}]{f' + {y}' if i > 1 else ''})")
        ys.append(y)
    return s.to(w.let(f"torch.cat([{', '.join(ys)}], 1)"))


@layer("inverted-residual", "image", lambda d: {"times": d.pick(2, 3), "k": d.pick(3, 5)})
def emit_inverted(w: Writer, s: State, n) -> State:
    """MobileNet's: wider, depthwise, narrow again, added."""
    wide = s.c * n["times"]
    a = w.add(f"nn.Sequential(nn.Conv2d({s.c}, {wide}, 1, bias=False), nn.BatchNorm2d({wide}), nn.ReLU6(inplace=True))")
    b = w.add(f"nn.Conv2d({wide}, {wide}, {n['k']}, padding={n['k'] // 2}, groups={wide}, bias=False)")
    c = w.add(f"nn.Sequential(nn.Conv2d({wide}, {s.c}, 1, bias=False), nn.BatchNorm2d({s.c}))")
    return s.to(w.let(f"{s.var} + {c}({b}({a}({s.var})))"))


@layer("windows", "image", lambda d: {"heads": d.pick(1, 2), "shift": d.chance(0.4)}, weight=0.7)
def emit_windows(w: Writer, s: State, n) -> State:
    """Swin's: attention within windows of 2 x 2, perhaps shifted."""
    if any(x % 2 for x in s.size):
        raise ValueError("odd sizes")
    heads, d = n["heads"], 4
    x = w.let(f"{s.var}.permute(0, 2, 3, 1)")
    if n["shift"]:
        x = w.let(f"torch.roll({x}, shifts=(-1, -1), dims=(1, 2))")
    b, h, v = w.fresh(), w.fresh(), w.fresh()
    w.line(f"{b}, {h}, {v} = {x}.size(0), {x}.size(1), {x}.size(2)")
    cut = w.let(f"{x}.view({b}, {h} // 2, 2, {v} // 2, 2, {s.c}).transpose(2, 3).reshape(-1, 4, {s.c})")
    qkv = w.add(f"nn.Linear({s.c}, {3 * heads * d})")
    parts = w.let(f"{qkv}({cut}).reshape(-1, 4, 3, {heads}, {d}).permute(2, 0, 3, 1, 4)")
    seen = w.let(f"F.scaled_dot_product_attention({parts}[0], {parts}[1], {parts}[2])")
    y = w.let(f"{seen}.transpose(1, 2).reshape(-1, 4, {heads * d})")
    leave = w.add(f"nn.Linear({heads * d}, {s.c})")
    back = w.let(
        f"{leave}({y}).view({b}, {h} // 2, {v} // 2, 2, 2, {s.c}).transpose(2, 3).reshape({b}, {h}, {v}, {s.c})"
    )
    if n["shift"]:
        back = w.let(f"torch.roll({back}, shifts=(1, 1), dims=(1, 2))")
    return s.to(w.let(f"{back}.permute(0, 3, 1, 2)"), zero=True)


@layer("conditional-conv", "image", lambda d: {"width": d.width(), "count": 2}, weight=0.4)
def emit_conditional(w: Writer, s: State, n) -> State:
    """CondConv's: each sample's kernel is a mixture, run as groups of one large convolution."""
    route = w.add(f"nn.Linear({s.c}, {n['count']})")
    kernels = w.add_parameter(n["count"], n["width"] * s.c * 9)
    mixed = w.let(f"(torch.sigmoid({route}({s.var}.mean((2, 3)))) @ {kernels}).view(-1, {s.c}, 3, 3)")
    flat = f"{s.var}.reshape(1, -1, {s.var}.size(2), {s.var}.size(3))"
    y = w.let(f"F.conv2d({flat}, {mixed}, padding=1, groups={s.var}.size(0))")
    return s.to(
        w.let(f"{y}.view({s.var}.size(0), {n['width']}, {s.var}.size(2), {s.var}.size(3))"), c=n["width"], zero=True
    )


@layer("selective-kernel", "image seq", lambda d: {"width": d.width()}, weight=0.5)
def emit_selective(w: Writer, s: State, n) -> State:
    """SKNet's: two kernels, mixed by a softmax over the two for each channel."""
    width = n["width"]
    a, b = square(w, s, width), square(w, s, width, 5)
    both = w.let(f"torch.stack([{a}({s.var}), {b}({s.var})], 1)")
    down, up = w.add(f"nn.Linear({width}, 4)"), w.add(f"nn.Linear(4, {2 * width})")
    gate = w.let(
        f"{up}(torch.relu({down}({both}.sum(1).mean({s.spatial})))).view(-1, 2, {width}{', 1' * s.dims}).softmax(1)"
    )
    return s.to(w.let(f"({both} * {gate}).sum(1)"), c=width, zero=True)


@layer("pyramid", "image", lambda d: {"width": d.width()}, weight=0.5)
def emit_pyramid(w: Writer, s: State, n) -> State:
    """FPN's: lateral layers on two sizes, the smaller one added to the larger."""
    if min(s.size) < 2:
        raise ValueError("too small")
    width = n["width"]
    deep = w.add(f"nn.Conv2d({s.c}, {2 * width}, 3, 2, 1)")
    small = w.let(f"torch.relu({deep}({s.var}))")
    inner = [w.add(f"nn.Conv2d({c}, {width}, 1)") for c in (s.c, 2 * width)]
    y = w.let(f"{inner[0]}({s.var}) + F.interpolate({inner[1]}({small}), size={s.var}.shape[-2:])")
    return s.to(y, c=width, zero=True)


@layer("group-scale", "tokens", lambda d: {"heads": d.pick(2, 4)}, weight=0.4)
def emit_group_scale(w: Writer, s: State, n) -> State:
    """Channels in groups that are scaled by the group."""
    g = divisor(s.c, n["heads"])
    scale = w.add_parameter(g, 1)
    x = w.let(f"{s.var}.view({s.var}.size(0), {s.var}.size(1), {g}, -1)")
    return s.to(w.let(f"({x} * {scale}).flatten(2)"))


@layer(
    "parallel-blocks",
    "tokens",
    lambda d: {"width": d.width(), "norm": d.chance(0.7), "sum": d.pick("left", "right", "branches", "inplace")},
    weight=0.7,
)
def emit_parallel(w: Writer, s: State, n) -> State:
    """GPT-J's and Cohere's: attention and a feed-forward layer side by side, after the same norm."""
    x = w.let(f"{w.add(f'nn.LayerNorm({s.c})')}({s.var})") if n["norm"] else s.var
    query, key, value = (w.let(f"{w.add(f'nn.Linear({s.c}, 4)')}({x})[:, None]") for _ in range(3))
    seen = w.let(f"F.scaled_dot_product_attention({query}, {key}, {value})")
    a = w.let(f"{w.add(f'nn.Linear(4, {s.c})')}({seen}.squeeze(1))")
    inner = w.add(f"nn.Sequential(nn.Linear({s.c}, {n['width']}), nn.GELU(), nn.Linear({n['width']}, {s.c}))")
    m = w.let(f"{inner}({x})")
    if n["sum"] == "inplace":
        y = w.let(f"{s.var} + {a}")
        w.line(f"{y} += {m}")
        return s.to(y)
    sums = {"left": f"{s.var} + {a} + {m}", "right": f"{m} + ({a} + {s.var})", "branches": f"{a} + {m} + {s.var}"}
    return s.to(w.let(sums[n["sum"]]))


@layer("summary", "tokens", lambda d: {"width": d.width()}, weight=0.5)
def emit_summary(w: Writer, s: State, n) -> State:
    """What all tokens have in common, beside each of them, as often as there are tokens."""
    y = w.let(f"torch.relu({w.add('nn.Linear({}, {})'.format(s.c, n['width']))}({s.var}.mean(1)))[:, None]")
    each = w.let(f"{y}.repeat_interleave({s.var}.size(1), dim=1)")
    return s.to(w.let(f"torch.cat([{s.var}, {each}], 2)"), c=s.c + n["width"])
