"""Attention in several spellings, with masks, tables of relative positions and shared keys."""

from .registry import Draw, layer
from .writer import State, Writer, project

SPELLINGS = (
    "fused",
    "manual",
    "sdpa",
    "einsum",
    "flat-bmm",
    "module",
    "multi-query",
    "grouped-query",
    "linear",
    "cross",
)


def draw_attention(d: Draw):
    return {
        "spelling": d.rng.choice(SPELLINGS),
        "heads": d.pick(1, 2, 2, 4),
        "dim": d.pick(2, 4),
        "bias": d.chance(0.6),
        "mask": d.pick("", "", "causal", "table", "made", "indexed"),
        "sizes": d.pick("size", "shape", "unflatten"),
    }


@layer("attention", "tokens", draw_attention, weight=4)
def emit_attention(w: Writer, s: State, n) -> State:
    h, d = n["heads"], n["dim"]
    spelling = n["spelling"]
    if spelling == "module":
        return emit_module(w, s, h)
    if spelling == "linear":
        return emit_linear(w, s, h, d)
    bias = "" if n["bias"] else ", bias=False"
    q, k, v = emit_projections(w, s, n, h, d, bias)
    mask = emit_mask(w, s, n["mask"], h)
    y = emit_product(w, s, spelling, q, k, v, mask, d, n["mask"] == "causal")
    leave = w.add(f"nn.Linear({h * d}, {s.c}{bias})")
    merged = (
        f"{y}.transpose(1, 2).reshape({s.var}.size(0), -1, {h * d})"
        if n["sizes"] != "unflatten"
        else f"{y}.transpose(1, 2).flatten(2)"
    )
    return s.to(w.let(f"{leave}({merged})"), zero=True)


def emit_module(w: Writer, s: State, h: int) -> State:
    s = project(w, s, 4 * h)
    module = w.add(f"nn.MultiheadAttention({s.c}, {h}, batch_first=True)")
    return s.to(w.let(f"{module}({s.var}, {s.var}, {s.var}, need_weights=False)[0]"), zero=True)


def emit_projections(w: Writer, s: State, n, h: int, d: int, bias: str) -> tuple[str, str, str]:
    """Queries, keys and values [N, heads, T, D]."""
    x, width = s.var, h * d

    def heads(name: str, count: int = h) -> str:
        if n["sizes"] == "unflatten":
            return w.let(f"{name}.unflatten(2, ({count}, {d})).transpose(1, 2)")
        if n["sizes"] == "shape":
            sizes = f"{x}.shape[0], {x}.shape[1]"
        else:
            sizes = f"{x}.size(0), -1"
        return w.let(f"{name}.view({sizes}, {count}, {d}).transpose(1, 2)")

    if n["spelling"] == "fused":
        both = w.add(f"nn.Linear({s.c}, {3 * width}{bias})")
        q, k, v = w.fresh(), w.fresh(), w.fresh()
        if n["sizes"] == "unflatten":
            w.line(f"{q}, {k}, {v} = {both}({x}).unflatten(2, (3, {h}, {d})).permute(2, 0, 3, 1, 4).unbind(0)")
        elif n["sizes"] == "shape":
            w.line(f"{q}, {k}, {v} = {both}({x}).chunk(3, dim=-1)")
            return heads(q), heads(k), heads(v)
        else:
            packed = w.let(f"{both}({x}).reshape({x}.size(0), {x}.size(1), 3, {h}, {d}).permute(2, 0, 3, 1, 4)")
            w.line(f"{q}, {k}, {v} = {packed}[0], {packed}[1], {packed}[2]")
        return q, k, v
    if n["spelling"] == "multi-query":
        a, b = w.add(f"nn.Linear({s.c}, {width}{bias})"), w.add(f"nn.Linear({s.c}, {2 * d}{bias})")
        k, v = w.fresh(), w.fresh()
        w.line(f"{k}, {v} = {b}({x}).chunk(2, dim=-1)")
        return heads(f"{a}({x})"), w.let(f"{k}.unsqueeze(1)"), w.let(f"{v}.unsqueeze(1)")
    if n["spelling"] == "grouped-query":
        a, b, c = (w.add(f"nn.Linear({s.c}, {c}{bias})") for c in (width, width // min(h, 2), width // min(h, 2)))
        few = h // min(h, 2)
        k, v = (w.let(f"{heads(f'{m}({x})', few)}.repeat_interleave({min(h, 2)}, dim=1)") for m in (b, c))
        return heads(f"{a}({x})"), k, v
    a, b, c = (w.add(f"nn.Linear({s.c}, {width}{bias})") for _ in range(3))
    other = x
    if n["spelling"] == "cross":
        w.inexact("a softmax over rows that may be cut")
        other = w.let(f"{w.add_parameter(1, 3, s.c)}.expand({x}.size(0), -1, -1)")
        q = heads(f"{a}({x})")
        k, v = (w.let(f"{m}({other}).view({x}.size(0), 3, {h}, {d}).transpose(1, 2)") for m in (b, c))
        return q, k, v
    return heads(f"{a}({x})"), heads(f"{b}({other})"), heads(f"{c}({other})")


def emit_mask(w: Writer, s: State, kind: str, h: int) -> str:
    """Something to add to the scores [N, heads, T, T], or nothing."""
    t = f"{s.var}.size(1)"
    if kind == "causal":
        most = s.size[0] + 24
        table = w.add_buffer(f"torch.full(({most}, {most}), -1e4).triu(1)")
        return w.let(f"{table}[:{t}, :{t}]")
    if kind == "table":
        most = s.size[0] + 24
        table = w.add_parameter(h, most, most)
        return w.let(f"{table}[:, :{t}, :{t}]")
    if kind == "made":
        return w.let(f"torch.zeros({t}, {t}).masked_fill(torch.ones({t}, {t}).triu(1) == 1, -1e4)")
    if kind == "indexed":
        most = s.size[0] + 24
        table = w.add_parameter(2 * most - 1, h)
        index = w.add_buffer(f"torch.arange({most})[:, None] - torch.arange({most}) + {most - 1}")
        return w.let(f"{table}[{index}[:{t}, :{t}].reshape(-1)].view({t}, {t}, -1).permute(2, 0, 1)")
    return ""


def emit_product(w: Writer, s: State, spelling: str, q: str, k: str, v: str, mask: str, d: int, causal: bool) -> str:
    if spelling == "cross":
        mask = ""
    plus = f" + {mask}" if mask else ""
    scale = d**-0.5
    if spelling == "sdpa":
        extra = f", attn_mask={mask}" if mask else ""
        return w.let(f"F.scaled_dot_product_attention({q}, {k}, {v}{extra})")
    if spelling == "einsum":
        a = w.let(f'(torch.einsum("nhid,nhjd->nhij", {q}, {k}) * {scale:.4f}{plus}).softmax(-1)')
        return w.let(f'torch.einsum("nhij,nhjd->nhid", {a}, {v})')
    if spelling == "flat-bmm":
        x = s.var
        flat = [w.let(f"{z}.flatten(0, 1)") for z in (q, k, v)]
        a = w.let(f"torch.bmm({flat[0]}, {flat[1]}.transpose(1, 2)) * {scale:.4f}")
        if mask:
            a = w.let(f"({a}.view({x}.size(0), -1, {x}.size(1), {x}.size(1)){plus}).flatten(0, 1)")
        return w.let(f"torch.bmm({a}.softmax(-1), {flat[2]}).view({x}.size(0), -1, {x}.size(1), {d})")
    return w.let(f"((({q} * {scale:.4f}) @ {k}.transpose(-2, -1)){plus}).softmax(-1) @ {v}")


def emit_linear(w: Writer, s: State, h: int, d: int) -> State:
    """Without a softmax: keys by values first."""
    x = s.var
    both = w.add(f"nn.Linear({s.c}, {3 * h * d})")
    q, k, v = w.fresh(), w.fresh(), w.fresh()
    w.line(f"{q}, {k}, {v} = {both}({x}).view({x}.size(0), -1, 3, {h}, {d}).permute(2, 0, 3, 1, 4).unbind(0)")
    y = w.let(f"torch.relu({q}) @ (torch.relu({k}).transpose(-1, -2) @ {v})")
    leave = w.add(f"nn.Linear({h * d}, {s.c})")
    return s.to(w.let(f"{leave}({y}.transpose(1, 2).flatten(2))"), zero=True)


@layer(
    "rotary",
    "tokens",
    lambda d: {"heads": d.pick(1, 2, 4), "dim": 4, "turn": d.pick("halves", "complex", "pairs")},
    weight=0.7,
)
def emit_rotary(w: Writer, s: State, n) -> State:
    """Rotated queries and keys, from caches that are sliced by the length."""
    h, d, x = n["heads"], n["dim"], s.var
    most = s.size[0] + 24
    angle = f"torch.outer(torch.arange({most}).float(), 10.0 ** -torch.arange(0, {d}, 2).float()).repeat(1, 2)"
    cos, sin = w.add_buffer(f"{angle}.cos()"), w.add_buffer(f"{angle}.sin()")
    c, n_ = w.let(f"{cos}[:{x}.size(1)]"), w.let(f"{sin}[:{x}.size(1)]")
    parts = [w.add(f"nn.Linear({s.c}, {h * d}, bias=False)") for _ in range(3)]
    q, k, v = (w.let(f"{m}({x}).view({x}.size(0), {x}.size(1), {h}, {d}).transpose(1, 2)") for m in parts)
    turned = [emit_turned(w, z, c, n_, d, n.get("turn", "halves")) for z in (q, k)]
    y = w.let(f"F.scaled_dot_product_attention({turned[0]}, {turned[1]}, {v}, is_causal=True)")
    leave = w.add(f"nn.Linear({h * d}, {s.c}, bias=False)")
    return s.to(w.let(f"{leave}({y}.transpose(1, 2).flatten(2))"), zero=True)


def emit_turned(w: Writer, z: str, cos: str, sin: str, d: int, spelling: str) -> str:
    """Each pair of channels turned by its angle: the pairs are the halves', or neighbors'."""
    if spelling == "halves":
        return w.let(f"{z} * {cos} + torch.cat([-{z}[..., {d // 2}:], {z}[..., :{d // 2}]], dim=-1) * {sin}")
    c, s = w.let(f"{cos}[:, :{d // 2}]"), w.let(f"{sin}[:, :{d // 2}]")
    pairs = w.let(f"{z}.reshape({z}.size(0), {z}.size(1), {z}.size(2), -1, 2)")
    if spelling == "complex":
        turned = w.let(f"torch.view_as_complex({pairs}.contiguous()) * torch.complex({c}, {s})")
        return w.let(f"torch.view_as_real({turned}).flatten(3)")
    a, b = w.let(f"{pairs}[..., 0]"), w.let(f"{pairs}[..., 1]")
    return w.let(f"torch.stack([{a} * {c} - {b} * {s}, {b} * {c} + {a} * {s}], dim=-1).flatten(3)")


@layer("graph-attention", "tokens", lambda d: {"heads": d.pick(1, 2, 4), "dim": d.pick(2, 4)}, weight=0.5)
def emit_graph_attention(w: Writer, s: State, n) -> State:
    """GAT's, where each token sees each: scores are sums of what two vectors a head say."""
    h, d, x = n["heads"], n["dim"], s.var
    enter, source, target = w.add(f"nn.Linear({s.c}, {h * d})"), w.add_parameter(h, d), w.add_parameter(h, d)
    y = w.let(f"{enter}({x}).view({x}.size(0), -1, {h}, {d})")
    a, b = w.let(f"({y} * {source}).sum(-1)"), w.let(f"({y} * {target}).sum(-1)")
    scores = w.let(f"F.leaky_relu({a}.unsqueeze(2) + {b}.unsqueeze(1), 0.2).softmax(2)")
    seen = w.let(f'torch.einsum("nijh,njhd->nihd", {scores}, {y}).flatten(2)')
    leave = w.add(f"nn.Linear({h * d}, {s.c})")
    return s.to(w.let(f"{leave}({seen})"), zero=True)


@layer("encoder-layer", "tokens", lambda d: {"hidden": d.width(), "first": d.chance(0.5)}, weight=0.5)
def emit_encoder_layer(w: Writer, s: State, n) -> State:
    s = project(w, s, 8)
    first = ", norm_first=True" if n["first"] else ""
    module = w.add(f"nn.TransformerEncoderLayer(8, 2, {n['hidden']}, dropout=0.0, batch_first=True{first})")
    return s.to(w.let(f"{module}({s.var})"), zero=False)
