"""Recurrences: the modules, their cells, and cells written by hand."""

from .registry import Draw, layer
from .writer import State, Writer


def draw_recurrent(d: Draw):
    return {
        "cell": d.pick("LSTM", "GRU", "RNN"),
        "width": d.pick(3, 4, 6, 8),
        "layers": d.pick(1, 1, 2),
        "both": d.chance(0.3),
        "first": d.chance(0.7),
        "proj": d.chance(0.15),
        "take": d.pick("all", "all", "last", "state"),
        "start": d.pick("", "", "given"),
    }


@layer("recurrent", "tokens", draw_recurrent, weight=2)
def emit_recurrent(w: Writer, s: State, n) -> State:
    x, width, lstm = s.var, n["width"], n["cell"] == "LSTM"
    proj = 2 if n["proj"] and lstm and width > 2 else 0
    ways = 2 if n["both"] else 1
    out = (proj or width) * ways
    extra = f", {n['layers']}" if n["layers"] > 1 else ""
    extra += ", bidirectional=True" if n["both"] else ""
    extra += f", proj_size={proj}" if proj else ""
    extra += ", batch_first=True" if n["first"] else ""
    rnn = w.add(f"nn.{n['cell']}({s.c}, {width}{extra})")
    if not n["first"]:
        x = w.let(f"{x}.transpose(0, 1)")
    start = ""
    if n["start"] and not proj:
        zeros = w.let(f"torch.zeros({n['layers'] * ways}, {s.var}.size(0), {width})")
        start = f", ({zeros}, {zeros})" if lstm else f", {zeros}"
    y, h = w.fresh(), w.fresh()
    w.line(f"{y}, {h} = {rnn}({x}{start})")
    if not n["first"]:
        y = w.let(f"{y}.transpose(0, 1)")
    if n["take"] == "state":
        last = w.let(f"{h}[0][-1]" if lstm else f"{h}[-1]")
        return s.to(w.let(f"{y} + {last}.unsqueeze(1)") if ways == 1 else y, c=out, zero=True)
    if n["take"] == "last":
        return s.to(w.let(f"{y} + {y}[:, -1:]"), c=out, zero=True)
    return s.to(y, c=out, zero=True)


@layer(
    "cell",
    "tokens",
    lambda d: {
        "cell": d.pick("LSTMCell", "GRUCell", "RNNCell", "hand", "hand"),
        "width": d.pick(4, 8),
        "steps": d.pick("fixed", "size"),
    },
    weight=1,
)
def emit_cell(w: Writer, s: State, n) -> State:
    """Steps over the sequence from a state of zeros; the steps' states in a list."""
    x, width, lstm = s.var, n["width"], n["cell"] == "LSTMCell"
    if n["cell"] == "hand":
        enter, state = w.add(f"nn.Linear({s.c}, {width})"), w.add(f"nn.Linear({width}, {width})")
    else:
        cell = w.add(f"nn.{n['cell']}({s.c}, {width})")
    h = w.let(f"torch.zeros({x}.size(0), {width})")
    c = w.let(f"torch.zeros({x}.size(0), {width})") if lstm else ""
    ys = w.fresh()
    w.line(f"{ys}: List[Tensor] = []")
    steps = f"{x}.size(1)" if n["steps"] == "size" else str(s.size[0])
    with w.block(f"for t in range({steps}):"):
        if n["cell"] == "hand":
            w.line(f"{h} = torch.tanh({enter}({x}[:, t]) + {state}({h}))")
        elif lstm:
            w.line(f"{h}, {c} = {cell}({x}[:, t], ({h}, {c}))")
        else:
            w.line(f"{h} = {cell}({x}[:, t], {h})")
        w.line(f"{ys}.append({h})")
    return s.to(w.let(f"torch.stack({ys}, 1)"), c=width, zero=True)


@layer("scan", "tokens", lambda d: {"width": d.pick(4, 8)}, weight=0.5)
def emit_scan(w: Writer, s: State, n) -> State:
    """A diagonal state space as Mamba's, without its input-dependent matrices."""
    x, width = s.var, n["width"]
    enter, decay = w.add(f"nn.Linear({s.c}, {width})"), w.add_parameter(width)
    u = w.let(f"{enter}({x})")
    h = w.let(f"torch.zeros({x}.size(0), {width})")
    ys = w.fresh()
    w.line(f"{ys}: List[Tensor] = []")
    with w.block(f"for t in range({x}.size(1)):"):
        w.line(f"{h} = {h} * torch.exp(-{decay}.abs()) + {u}[:, t]")
        w.line(f"{ys}.append({h})")
    return s.to(w.let(f"torch.stack({ys}, 1)"), c=width, zero=True)


@layer("selective-scan", "tokens", lambda d: {"width": d.pick(4, 8), "states": 2}, weight=0.4)
def emit_selective_scan(w: Writer, s: State, n) -> State:
    """Mamba's: steps, what enters the state and what leaves it follow from the input; a state for each channel."""
    x, width, k = s.var, n["width"], n["states"]
    enter, delta, both = (w.add(f"nn.Linear({a}, {b})") for a, b in ((s.c, width), (width, width), (width, 2 * k)))
    rate, skip = w.add_parameter(width, k), w.add_parameter(width)
    u = w.let(f"{enter}({x})")
    step = w.let(f"F.softplus({delta}({u})).unsqueeze(-1)")
    into, out = w.fresh(), w.fresh()
    w.line(f"{into}, {out} = {both}({u}).chunk(2, dim=-1)")
    h = w.let(f"torch.zeros({x}.size(0), {width}, {k})")
    ys = w.fresh()
    w.line(f"{ys}: List[Tensor] = []")
    with w.block(f"for t in range({x}.size(1)):"):
        fed = f"{step}[:, t] * {into}[:, t].unsqueeze(1) * {u}[:, t].unsqueeze(-1)"
        w.line(f"{h} = {h} * torch.exp(-{step}[:, t] * {rate}.abs()) + {fed}")
        w.line(f"{ys}.append(({h} * {out}[:, t].unsqueeze(1)).sum(-1))")
    return s.to(w.let(f"torch.stack({ys}, 1) + {u} * {skip}"), c=width, zero=True)


@layer("cumsum", "tokens", weight=0.3)
def emit_cumsum(w: Writer, s: State, n) -> State:
    return s.to(w.let(f"{s.var}.cumsum(1) * 0.5"))
