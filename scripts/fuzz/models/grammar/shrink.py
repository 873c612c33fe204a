"""Smaller trees of a tree, the smallest first."""

import copy
from collections.abc import Iterator

from .model import Tree
from .registry import Node


def lists_of(nodes: list[Node], path: tuple = ()) -> Iterator[tuple]:
    """Paths of all lists of nodes: () is the outermost, (i, j) the body j of node i, and so on."""
    yield path
    for i, node in enumerate(nodes):
        for j, body in enumerate(node.get("bodies", [])):
            yield from lists_of(body, (*path, i, j))


def list_at(nodes: list[Node], path: tuple) -> list[Node]:
    for i, j in zip(path[::2], path[1::2], strict=True):
        nodes = nodes[i]["bodies"][j]
    return nodes


def changed(tree: Tree, path: tuple, edit) -> Tree:
    copied = copy.deepcopy(tree)
    edit(list_at(copied["nodes"], path))
    return copied


SMALLEST = {
    "width": 4,
    "k": 1,
    "stride": 1,
    "groups": 1,
    "dilation": 1,
    "times": 1,
    "hidden": 2,
    "heads": 1,
    "layers": 1,
    "count": 2,
    "dim": 2,
}
PLAIN = {
    "spelling": "module",
    "bias": True,
    "both": False,
    "proj": False,
    "start": "",
    "mask": "",
    "take": "all",
    "convs": False,
    "hard": False,
}


def candidates(tree: Tree) -> Iterator[Tree]:
    paths = sorted(lists_of(tree["nodes"]), key=len)
    for path in paths:  # halves of a list, then single nodes
        nodes = list_at(tree["nodes"], path)
        if len(nodes) > 2:
            half = len(nodes) // 2
            yield changed(tree, path, lambda x, h=half: x.__delitem__(slice(h, None)))
            yield changed(tree, path, lambda x, h=half: x.__delitem__(slice(0, h)))
    for path in paths:
        for i in range(len(list_at(tree["nodes"], path))):
            yield changed(tree, path, lambda x, i=i: x.pop(i))
    for path in paths:  # a node's body in place of the node
        for i, node in enumerate(list_at(tree["nodes"], path)):
            for j in range(len(node.get("bodies", []))):
                yield changed(tree, path, lambda x, i=i, j=j: x.__setitem__(slice(i, i + 1), x[i]["bodies"][j]))
    for key, plain in (
        ("out", "tensor"),
        ("method", ""),
        ("pool", True),
        ("form", "script"),
        ("form", "trace"),
        ("divisor", 1),
        ("enter", 8),
    ):
        if tree[key] != plain and not (key == "form" and plain == "trace" and tree["method"]):
            if key == "form" and tree["form"] == "script":
                continue  # scripts are the form that is easier to read
            yield {**tree, key: plain}
    for key, plain in (("batch", 2), ("c", 3)):
        if tree["input"][key] != plain:
            yield {**tree, "input": {**tree["input"], key: plain}}
    for path in paths:
        for i, node in enumerate(list_at(tree["nodes"], path)):
            for key, plain in [*SMALLEST.items(), *PLAIN.items()]:
                if key in node and node[key] != plain:
                    if key == "spelling" and node["op"] not in ("linear", "attention"):
                        continue
                    yield changed(tree, path, lambda x, i=i, key=key, plain=plain: x[i].__setitem__(key, plain))
