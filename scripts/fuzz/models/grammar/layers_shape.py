"""Concatenations, splits, slices, reshapes, pools: what moves activations without weights."""

from .layers_control import SILENT
from .layers_gate import halves
from .registry import ANY, emit_body, layer
from .writer import State, Writer, match, project


@layer(
    "concat",
    ANY,
    lambda d: {
        "bodies": [d.body(None) for _ in range(d.pick(1, 2))],
        "skip": d.chance(0.5),
        "spelling": d.pick("cat", "cat", "list"),
    },
    weight=3,
)
def emit_concat(w: Writer, s: State, n) -> State:
    parts = [emit_body(w, s, body) for body in n["bodies"]] + ([s] if n["skip"] or len(n["bodies"]) < 2 else [])
    if any((p.kind, p.size) != (s.kind, s.size) for p in parts):
        raise ValueError("parts of other sizes")
    total, zero = sum(p.c for p in parts), all(p.zero for p in parts)
    if n["spelling"] == "list":
        listed = w.fresh()
        w.line(f"{listed}: List[Tensor] = []")
        for p in parts:
            w.line(f"{listed}.append({p.var})")
        return s.to(w.let(f"torch.cat({listed}, dim={s.axis})"), c=total, zero=zero)
    return s.to(w.let(f"torch.cat([{', '.join(p.var for p in parts)}], dim={s.axis})"), c=total, zero=zero)


@layer(
    "split",
    ANY,
    lambda d: {
        "width": d.pick(4, 6, 8),
        "bodies": [d.body(None)],
        "spelling": d.pick("chunk", "split", "slice", "tensor_split"),
    },
    weight=2,
)
def emit_split(w: Writer, s: State, n) -> State:
    """One half goes through layers, the other doesn't (CSP, ShuffleNet)."""
    s = project(w, s, 2 * n["width"])
    a, b = halves(w, s, n["spelling"], n["width"])
    left = emit_body(w, s.to(a, c=n["width"]), n["bodies"][0])
    return s.to(w.let(f"torch.cat([{left.var}, {b}], dim={s.axis})"), c=left.c + n["width"], zero=left.zero)


@layer(
    "split-sizes",
    ANY,
    lambda d: {
        "widths": d.pick([2, 6], [4, 2, 2], [6, 4]),
        "bodies": [d.body(None)],
        "spelling": d.pick("split", "unbind"),
    },
    weight=1,
)
def emit_split_sizes(w: Writer, s: State, n) -> State:
    """Parts of different widths, or a dimension of parts that is taken apart."""
    widths = n["widths"] if n["spelling"] == "split" else [4] * len(n["widths"])
    s = project(w, s, sum(widths))
    parts = [w.fresh() for _ in widths]
    if n["spelling"] == "split":
        cut = f"{s.var}.split({widths}, dim={s.axis})"
    else:
        cut = f"{s.var}.unflatten({s.axis}, ({len(widths)}, 4)).unbind({s.axis})"
    if w.scripted and n["spelling"] == "split":
        pieces = w.let(cut)
        for i, part in enumerate(parts):
            w.let(f"{pieces}[{i}]", part)
    else:
        w.line(f"{', '.join(parts)} = {cut}")
    left = emit_body(w, s.to(parts[0], c=widths[0]), n["bodies"][0])
    if (left.kind, left.size) != (s.kind, s.size):
        raise ValueError("parts of other sizes")
    others = [project(w, s.to(part, c=c), left.c).var for part, c in zip(parts[1:], widths[1:], strict=True)]
    return s.to(w.let(" + ".join([left.var, *others])), c=left.c, zero=left.zero)


@layer(
    "dictionary",
    ANY,
    lambda d: {"bodies": [d.body(None), d.body(None)], "use": d.pick("keys", "values")},
    weight=0.6,
)
def emit_dictionary(w: Writer, s: State, n) -> State:
    """Activations by name, as necks and backbones hand them on."""
    a, b = (emit_body(w, s, body) for body in n["bodies"])
    if any((p.kind, p.size) != (s.kind, s.size) for p in (a, b)):
        raise ValueError("parts of other sizes")
    named = w.fresh()
    w.line(f"{named}: Dict[str, Tensor] = {{}}")
    w.line(f'{named}["a"] = {a.var}')
    w.line(f'{named}["b"] = {b.var}')
    parts = f'[{named}["a"], {named}["b"]]' if n["use"] == "keys" else f"list({named}.values())"
    return s.to(w.let(f"torch.cat({parts}, dim={s.axis})"), c=a.c + b.c, zero=a.zero and b.zero)


@layer("where", ANY, lambda d: {"width": d.width()}, weight=0.4)
def emit_where(w: Writer, s: State, n) -> State:
    a, b = project(w, s, n["width"]), project(w, s, n["width"])
    return s.to(w.let(f"torch.where({a.var} > 0, {a.var}, {b.var} * 0.5)"), c=n["width"], zero=True)


@layer("pyramid-pooling", "image seq", lambda d: {"width": d.pick(2, 4), "sizes": d.pick([1], [1, 2])}, weight=0.5)
def emit_pyramid_pooling(w: Writer, s: State, n) -> State:
    """PSPNet's: means over regions, made as large as the activation again, beside it."""
    parts = [s.var]
    for size in n["sizes"]:
        small = project(w, s.to(w.let(f"F.adaptive_avg_pool{s.dims}d({s.var}, {size})")), n["width"])
        parts.append(w.let(f"F.interpolate({small.var}, size={s.var}.shape[2:])"))
    return s.to(w.let(f"torch.cat([{', '.join(parts)}], dim=1)"), c=s.c + n["width"] * len(n["sizes"]))


@layer("token-conv", "tokens", lambda d: {"width": d.width(), "k": d.pick(2, 3), "each": d.chance(0.4)}, weight=0.7)
def emit_token_conv(w: Writer, s: State, n) -> State:
    """A causal convolution along the tokens."""
    width = s.c if n["each"] else n["width"]
    conv = w.add(f"nn.Conv1d({s.c}, {width}, {n['k']}{f', groups={s.c}' if n['each'] else ''})")
    y = w.let(f"{conv}(F.pad({s.var}.transpose(1, 2), ({n['k'] - 1}, 0))).transpose(1, 2)")
    return s.to(y, c=width, zero=True)


@layer(
    "sum",
    ANY,
    lambda d: {
        "width": d.width(),
        "bodies": [d.body(None), d.body(None)],
        "spelling": d.pick("+", "stack", "mean", "max"),
    },
    weight=1,
)
def emit_sum(w: Writer, s: State, n) -> State:
    a, b = (project(w, emit_body(w, s, body), n["width"]) for body in n["bodies"])
    expr = {
        "+": f"{a.var} + {b.var}",
        "stack": f"torch.stack([{a.var}, {b.var}]).sum(0)",
        "mean": f"torch.stack([{a.var}, {b.var}], -1).mean(-1)",
        "max": f"torch.max({a.var}, {b.var})",
    }[n["spelling"]]
    return s.to(w.let(expr), c=n["width"], zero=True)


@layer(
    "residual",
    ANY,
    lambda d: {"bodies": [d.body(None)], "end": d.pick("project", "project", "bare"), "inplace": d.chance(0.2)},
    weight=5,
)
def emit_residual(w: Writer, s: State, n) -> State:
    y = emit_body(w, s, n["bodies"][0])
    if (y.kind, y.size) != (s.kind, s.size):
        raise ValueError("a residual of another size")
    if n["end"] == "project" or y.c != s.c:
        y = project(w, y, s.c)
    else:
        w.program.inexact_depth.add(SILENT)
    if n["inplace"] and y.var != s.var:
        w.line(f"{y.var} += {s.var}")
        return s.to(y.var, zero=s.zero and y.zero)
    return s.to(w.let(f"{s.var} + {y.var}"), zero=s.zero and y.zero)


@layer("permute-channels", ANY, lambda d: {"spelling": d.pick("flip", "roll", "index")}, weight=0.4)
def emit_permute_channels(w: Writer, s: State, n) -> State:
    if n["spelling"] == "flip":
        return s.to(w.let(f"{s.var}.flip({s.axis})"))
    if n["spelling"] == "roll":
        return s.to(w.let(f"{s.var}.roll(1, {s.axis})"))
    order = w.add_buffer(f"torch.arange({s.c - 1}, -1, -1)")
    return s.to(w.let(f"{s.var}.index_select({s.axis}, {order})"))


@layer(
    "narrow-channels",
    ANY,
    lambda d: {"width": d.pick(4, 6, 8), "spelling": d.pick("slice", "narrow", "strided")},
    weight=0.7,
)
def emit_narrow(w: Writer, s: State, n) -> State:
    s = project(w, s, 2 * n["width"])
    before = ":, " * s.axis
    expr = {
        "slice": f"{s.var}[{before}:{n['width']}]",
        "narrow": f"{s.var}.narrow({s.axis}, 1, {n['width']})",
        "strided": f"{s.var}[{before}::2]",
    }
    return s.to(w.let(expr[n["spelling"]]), c=n["width"])


@layer("pad-channels", ANY, lambda d: {"more": d.pick(1, 2), "spelling": d.pick("pad", "zeros")}, weight=0.5)
def emit_pad(w: Writer, s: State, n) -> State:
    if n["spelling"] == "pad":
        ahead = "0, 0, " * s.dims
        return s.to(w.let(f"F.pad({s.var}, ({ahead}0, {n['more']}))"), c=s.c + n["more"])
    first = f"{s.var}[{':, ' * s.axis}:{n['more']}]"
    return s.to(w.let(f"torch.cat([{s.var}, torch.zeros_like({first})], dim={s.axis})"), c=s.c + min(n["more"], s.c))


@layer("repeat-channels", ANY, lambda d: {"spelling": d.pick("repeat", "interleave", "cat")}, weight=0.5)
def emit_repeat(w: Writer, s: State, n) -> State:
    ones = ["1"] * s.rank
    ones[s.axis] = "2"
    expr = {
        "repeat": f"{s.var}.repeat({', '.join(ones)})",
        "interleave": f"{s.var}.repeat_interleave(2, dim={s.axis})",
        "cat": f"torch.cat([{s.var}, {s.var}], dim={s.axis})",
    }
    return s.to(w.let(expr[n["spelling"]]), c=2 * s.c)


@layer("fold-channels", ANY, lambda d: {"parts": d.pick(2, 4), "f": d.pick("sum", "amax")}, weight=0.5)
def emit_fold(w: Writer, s: State, n) -> State:
    """Channels in parts that are summed (Maxout, split attention)."""
    width = max(1, s.c // n["parts"])
    s = match(w, s, width * n["parts"])
    if n["f"] == "amax":
        w.inexact("the largest of channels and zeros")
    y = w.let(f"{s.var}.unflatten({s.axis}, ({n['parts']}, {width})).{n['f']}({s.axis})")
    return s.to(y, c=width)


@layer("pool", "image seq vol", lambda d: {"f": d.pick("max", "avg")}, keeps=False)
def emit_pool(w: Writer, s: State, n) -> State:
    if min(s.size) < 2:
        raise ValueError("too small")
    return s.to(w.let(f"F.{n['f']}_pool{s.dims}d({s.var}, 2)"), size=tuple(x // 2 for x in s.size))


@layer("same-pool", "image seq vol", lambda d: {"f": d.pick("max", "avg")}, weight=0.7)
def emit_same_pool(w: Writer, s: State, n) -> State:
    return s.to(w.let(f"F.{n['f']}_pool{s.dims}d({s.var}, 3, 1, 1)"))


@layer("upsample", "image seq", lambda d: {"how": d.pick("scale", "size")}, keeps=False)
def emit_upsample(w: Writer, s: State, n) -> State:
    if n["how"] == "scale":
        return s.to(w.let(f"F.interpolate({s.var}, scale_factor=2.0)"), size=tuple(2 * x for x in s.size))
    return s.to(w.let(f"F.interpolate({s.var}, size={[x + 1 for x in s.size]})"), size=tuple(x + 1 for x in s.size))


@layer("slice-space", "image seq", lambda d: {"by": d.pick("number", "size")}, keeps=False)
def emit_slice_space(w: Writer, s: State, n) -> State:
    if min(s.size) < 3:
        raise ValueError("too small")
    if n["by"] == "number":
        return s.to(w.let(f"{s.var}[:, :, 1:]"), size=(s.size[0] - 1, *s.size[1:]))
    return s.to(w.let(f"{s.var}[:, :, : {s.var}.size(2) // 2]"), size=(s.size[0] // 2, *s.size[1:]))


@layer("slice-tokens", "tokens", lambda d: {"by": d.pick("size", "number", "step", "negative")}, keeps=False)
def emit_slice_tokens(w: Writer, s: State, n) -> State:
    if s.size[0] < 3:
        raise ValueError("too short")
    if n["by"] == "size":
        return s.to(w.let(f"{s.var}[:, {s.var}.size(1) // 2 :]"), size=(s.size[0] - s.size[0] // 2,))
    if n["by"] == "negative":
        return s.to(w.let(f"{s.var}[:, -({s.var}.shape[1] // 2) :]"), size=(s.size[0] // 2,))
    if n["by"] == "step":
        return s.to(w.let(f"{s.var}[:, ::2]"), size=((s.size[0] + 1) // 2,))
    return s.to(w.let(f"{s.var}[:, 1:]"), size=(s.size[0] - 1,))


@layer("shift-tokens", "tokens image", lambda d: {"f": d.pick("roll", "flip", "pad")}, weight=0.5)
def emit_shift(w: Writer, s: State, n) -> State:
    axis = 1 if s.kind == "tokens" else 2
    if n["f"] == "pad" and s.kind == "tokens":
        return s.to(w.let(f"F.pad({s.var}, (0, 0, 1, 0))[:, :-1]"))
    return s.to(w.let(f"{s.var}.flip({axis})" if n["f"] == "flip" else f"{s.var}.roll(1, {axis})"))


@layer("merge-patches", "image", lambda d: {"width": d.width()}, weight=0.5, keeps=False)
def emit_merge(w: Writer, s: State, n) -> State:
    """Swin's: four neighbours become channels."""
    if s.size[0] % 2 or s.size[1] % 2:
        raise ValueError("odd sizes")
    x = w.let(f"{s.var}.permute(0, 2, 3, 1)")
    y = w.let(f"torch.cat([{x}[:, 0::2, 0::2], {x}[:, 1::2, 0::2], {x}[:, 0::2, 1::2], {x}[:, 1::2, 1::2]], -1)")
    leave = w.add(f"nn.Linear({4 * s.c}, {n['width']}, bias=False)")
    return s.to(w.let(f"{leave}({y}).permute(0, 3, 1, 2)"), c=n["width"], size=tuple(x // 2 for x in s.size), zero=True)


@layer("unfold", "image", lambda d: {"width": d.width()}, weight=0.3, gives="tokens", keeps=False)
def emit_unfold(w: Writer, s: State, n) -> State:
    if min(s.size) < 2:
        raise ValueError("too small")
    size = (s.size[0] // 2) * (s.size[1] // 2)
    leave = w.add(f"nn.Linear({4 * s.c}, {n['width']})")
    y = w.let(f"{leave}(F.unfold({s.var}, 2, stride=2).transpose(1, 2))")
    return State(y, "tokens", n["width"], (size,))


@layer(
    "to-tokens",
    "image seq vol",
    lambda d: {"spelling": d.pick("flatten", "permute", "reshape")},
    weight=1.5,
    gives="tokens",
    keeps=False,
)
def emit_to_tokens(w: Writer, s: State, n) -> State:
    total = 1
    for x in s.size:
        total *= x
    if n["spelling"] == "permute" and s.kind == "image":
        y = w.let(f"{s.var}.permute(0, 2, 3, 1).reshape({s.var}.size(0), -1, {s.c})")
    elif n["spelling"] == "reshape":
        y = w.let(f"{s.var}.reshape({s.var}.size(0), {s.var}.size(1), -1).transpose(1, 2)")
    else:
        y = w.let(f"{s.var}.flatten(2).transpose(1, 2)")
    return State(y, "tokens", s.c, (total,), s.zero)


@layer("to-seq", "tokens", weight=0.7, gives="seq", keeps=False)
def emit_to_seq(w: Writer, s: State, n) -> State:
    return State(w.let(f"{s.var}.transpose(1, 2)"), "seq", s.c, s.size, s.zero)


@layer("to-image", "tokens", weight=0.4, gives="image", keeps=False)
def emit_to_image(w: Writer, s: State, n) -> State:
    side = int(s.size[0] ** 0.5)
    if side * side != s.size[0]:
        return State(w.let(f"{s.var}.transpose(1, 2).unsqueeze(3)"), "image", s.c, (s.size[0], 1), s.zero)
    return State(
        w.let(f"{s.var}.transpose(1, 2).reshape({s.var}.size(0), -1, {side}, {side})"),
        "image",
        s.c,
        (side, side),
        s.zero,
    )


@layer(
    "pool-all",
    "image seq vol tokens",
    lambda d: {"f": d.pick("mean", "mean", "amax", "adaptive", "first")},
    weight=1,
    gives="flat",
    keeps=False,
)
def emit_pool_all(w: Writer, s: State, n) -> State:
    axes = (1,) if s.kind == "tokens" else s.spatial
    if n["f"] == "adaptive" and s.dims:
        y = w.let(f"F.adaptive_avg_pool{s.dims}d({s.var}, 1).flatten(1)")
    elif n["f"] == "first" and s.kind == "tokens":
        y = w.let(f"{s.var}[:, 0]")
    else:
        y = w.let(f"{s.var}.{'amax' if n['f'] == 'amax' else 'mean'}({axes})")
    return State(y, "flat", s.c, (), s.zero)


@layer(
    "flatten",
    "image seq tokens",
    lambda d: {"spelling": d.pick("flatten", "view", "module")},
    weight=0.7,
    gives="flat",
    keeps=False,
)
def emit_flatten(w: Writer, s: State, n) -> State:
    total = s.c
    for x in s.size:
        total *= x
    if n["spelling"] == "module":
        y = w.let(f"{w.add('nn.Flatten()')}({s.var})")
    else:
        y = w.let(f"{s.var}.flatten(1)" if n["spelling"] == "flatten" else f"{s.var}.reshape({s.var}.size(0), -1)")
    # What follows sees single numbers; a linear layer makes channels of them again.
    leave = w.add(f"nn.Linear({total}, 8)")
    return State(w.let(f"{leave}({y})"), "flat", 8, ())


@layer("attention-pool", "tokens", weight=0.6, gives="flat", keeps=False)
def emit_attention_pool(w: Writer, s: State, n) -> State:
    score = w.add(f"nn.Linear({s.c}, 1)")
    return State(w.let(f"({score}({s.var}).softmax(1) * {s.var}).sum(1)"), "flat", s.c, (), s.zero)


@layer("to-sequence-of-one", "flat", weight=0.3, gives="tokens", keeps=False)
def emit_unsqueeze(w: Writer, s: State, n) -> State:
    return State(w.let(f"{s.var}.unsqueeze(1)"), "tokens", s.c, (1,), s.zero)
