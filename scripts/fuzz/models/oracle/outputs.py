"""Outputs of a model as a list of tensors, in the order of torchsearch: depth first, dictionaries as they are."""

from typing import Any

import torch
from torch import Tensor

#: What a model may raise at an input that it doesn't take.
RAISED = (RuntimeError, ValueError, torch.jit.Error)


def direction_of(name: str) -> str | None:
    """Of a weight norm's magnitude, in either spelling: the name of its direction. None for any other tensor."""
    for magnitude, direction in (("weight_g", "weight_v"), ("weight.original0", "weight.original1")):
        if name.endswith(magnitude):
            return name.removesuffix(magnitude) + direction
    return None


def is_direction(name: str) -> bool:
    return name.endswith(("weight_v", "weight.original1"))


def tensors_of(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value.detach() if not value.requires_grad else value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in tensors_of(item)]
    return []


def difference(actual: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference, relative to the expected tensor's largest magnitude; infinite where shapes differ."""
    if [tuple(x.shape) for x in actual] != [tuple(x.shape) for x in expected]:
        return float("inf")
    worst = 0.0
    for x, y in zip(actual, expected, strict=True):
        if y.numel() == 0:
            continue
        x, y = x.detach().double(), y.detach().double()
        if not torch.equal(x.isnan(), y.isnan()):
            return float("inf")
        scale = max(float(y.nan_to_num().abs().max()), 1e-3)
        worst = max(worst, float((x - y).nan_to_num().abs().max()) / scale)
    return worst


def shapes(tensors: list[Tensor]) -> str:
    return str([list(t.shape) for t in tensors])
