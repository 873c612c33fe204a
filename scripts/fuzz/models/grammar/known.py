"""Known faults: what the grammar leaves out by default, each with its reason. An entry goes when its fault is fixed."""

from .registry import Node

#: (operation or "model", the values that make it fail, reason). `npm run fuzz:models -- --known` draws these, too.
KNOWN: list[tuple[str, dict[str, tuple], str]] = []


def is_known(node: Node) -> bool:
    return any(
        node["op"] == op and all(node.get(key) in values for key, values in where.items()) for op, where, _ in KNOWN
    )


def describe() -> list[str]:
    return [f"{op}{' with ' + str(where) if where else ''}: {reason}" for op, where, reason in KNOWN]
