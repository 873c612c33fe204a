"""Known faults: what the grammar leaves out by default, each with its reason. An entry goes when its fault is fixed."""

from .registry import Node

#: (operation or "model", the values that make it fail, reason). `npm run fuzz:models -- --known` draws these, too.
KNOWN: list[tuple[str, dict[str, tuple], str]] = [
    ("attention", {"mask": ("causal", "table")}, "a table that is sliced by the length in two dimensions"),
    ("dtype-of-weight", {}, "a left-out weight that is asked for its dtype"),
    ("weight-norm", {}, "cut inputs rescale what remains"),
    ("unused", {}, "parameters that never run are hyperparameters"),
    ("module-dict", {"use": ("key",)}, "parameters that never run are hyperparameters"),
    ("optional", {}, "parameters that never run are hyperparameters"),
    ("branch", {"on": ("flag", "no-flag")}, "parameters that never run are hyperparameters"),
    ("branch", {"on": ("size", "length")}, "the export pins a branch on a size"),
    ("position-table", {}, "a table that is sliced by the length: its rows are reordered"),
    ("rotary", {}, "a table that is sliced by the length"),
    ("image-positions", {}, "a table that is sliced by the size"),
    ("linear", {"spelling": ("einsum",)}, "MACs where a summed dimension is narrowed to 1"),
    ("experts", {}, "MACs where a summed dimension is narrowed to 1"),
    ("grouped-linear", {}, "MACs where a summed dimension is narrowed to 1"),
    ("attention", {"spelling": ("einsum",)}, "MACs where a summed dimension is narrowed to 1"),
    ("encoder-layer", {}, "memory where one of two calls is left out"),
    ("shared", {}, "memory where one of two calls is left out"),
    ("transposed", {"groups": (2,)}, "grouped convolutions in a row: nothing runs"),
    ("loop", {}, "a left-out block that has a loop stays in the export"),
    ("cell", {}, "a left-out block that has a loop stays in the export"),
    ("scan", {}, "a left-out block that has a loop stays in the export"),
    ("branch", {"on": ("training",)}, "the training side isn't tied to the other"),
    ("outer", {}, "an outer product: nothing runs"),
    ("gram", {}, "an outer product: nothing runs"),
    ("recurrent", {}, "the weights that run are copies"),
    ("rms-norm", {"spelling": ("own",)}, "a left-out norm stays"),
    ("model", {"out": ("aux",)}, "outputs of the training side are narrowed"),
    ("model", {"method": ("predict", "scaled", "energy")}, "exported methods vanish"),
    ("conv", {"groups": (2, 4)}, "grouped convolutions in a row: nothing runs"),
    ("channel-shuffle", {}, "after a grouped convolution nothing runs"),
    ("group-norm", {}, "after a grouped convolution nothing runs"),
]


def is_known(node: Node) -> bool:
    return any(
        node["op"] == op and all(node.get(key) in values for key, values in where.items()) for op, where, _ in KNOWN
    )


def describe() -> list[str]:
    return [f"{op}{' with ' + str(where) if where else ''}: {reason}" for op, where, reason in KNOWN]
