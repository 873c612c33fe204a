"""The full model with the cut channels set to zero: what an exported subnet has to compute.

Which channels were cut follows from the exported file alone: a model's weights are all different numbers, so a weight
of the export is found in the original's by its value. Nothing of torchsearch has a part in it.
"""

import types

import torch
from torch import Tensor, nn

from .outputs import direction_of


class NotASlice(Exception):
    """An exported tensor that isn't rows and columns of the original's."""


def kept_indices(full: Tensor, part: Tensor) -> list[Tensor]:
    """For each dimension the original's indices that `part` consists of. The original's elements must be unique."""
    if full.dim() != part.dim():
        raise NotASlice(f"has {part.dim()} dimensions instead of {full.dim()}")
    if part.numel() == 0:
        raise NotASlice("is empty")
    values, order = full.reshape(-1).sort()
    at = torch.searchsorted(values, part.reshape(-1)).clamp(max=values.numel() - 1)
    if not torch.equal(values[at], part.reshape(-1)):
        raise NotASlice("holds numbers that the original's doesn't hold")
    position = order[at].reshape(part.shape)
    indices = []
    for d in range(full.dim()):
        stride = 1
        for n in full.shape[d + 1 :]:
            stride *= n
        along = (position // stride) % full.shape[d]
        line = along
        for other in range(full.dim()):
            if other != d:
                line = line.select(other, 0).unsqueeze(other)
        if not torch.equal(line.expand_as(along), along):
            raise NotASlice("isn't made of whole rows and columns")
        indices.append(line.reshape(-1))
    return indices


def slice_of(full: Tensor, indices: list[Tensor]) -> Tensor:
    for d, index in enumerate(indices):
        full = full.index_select(d, index)
    return full


def mask_of(full: Tensor, indices: list[Tensor]) -> Tensor:
    mask = torch.ones(full.shape)
    for d, index in enumerate(indices):
        line = torch.zeros(full.shape[d])
        line[index] = 1
        mask = mask * line.view([-1 if i == d else 1 for i in range(full.dim())])
    return mask


def masked_state(full: dict[str, Tensor], kept: dict[str, list[Tensor] | None]) -> dict[str, Tensor]:
    """The original's state with zeros for all that was cut; None as indices is a tensor that is whole."""
    state = {}
    for name, tensor in full.items():
        if name not in kept:
            state[name] = torch.zeros_like(tensor)
            continue
        indices = kept[name]
        state[name] = tensor.clone() if indices is None else tensor * mask_of(tensor, indices).to(tensor.dtype)
    for name, tensor in full.items():  # w = g v / |v|: w's elements stay where they are kept
        direction = direction_of(name)
        if direction is not None:
            v, masked = full[direction], state[direction]
            dims = tuple(range(1, v.dim()))
            norm = torch.linalg.vector_norm(masked, dim=dims, keepdim=True)
            state[name] = tensor * norm / torch.linalg.vector_norm(v, dim=dims, keepdim=True)
            state[direction] = torch.where(norm == 0, v, masked)  # g is zero there; 0 / 0 would be no number
    return state


def over_kept(x: Tensor, kept: Tensor) -> Tensor:
    mask = torch.zeros(x.shape[-1], dtype=x.dtype)
    mask[kept] = 1
    return mask


def masked_layer_norm(x: Tensor, kept: Tensor, eps: float, center: bool = True) -> Tensor:
    """Over the last dimension's kept elements; the others become zero."""
    if len(kept) == 0:
        return torch.zeros_like(x)
    mask = over_kept(x, kept)
    mean = (x * mask).sum(-1, keepdim=True) / len(kept) if center else 0.0
    y = (x - mean) * mask
    return y / (y.pow(2).sum(-1, keepdim=True) / len(kept) + eps).sqrt()


def layer_norm(module, kept: Tensor):
    def forward(self, x: Tensor) -> Tensor:
        y = masked_layer_norm(x, kept, self.eps) * self.weight
        return y + self.bias

    return forward


def rms_norm(module, kept: Tensor):
    eps = getattr(module, "eps", 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        given = torch.finfo(x.dtype).eps if eps is None else eps
        return masked_layer_norm(x, kept, given, center=False) * self.weight

    return forward


def channel_norm(module, kept: Tensor):
    def forward(self, x: Tensor) -> Tensor:
        y = masked_layer_norm(x.movedim(1, -1), kept, 1e-6) * self.weight + self.bias
        return y.movedim(-1, 1)

    return forward


def group_norm(module, kept: Tensor):
    def forward(self, x: Tensor) -> Tensor:
        width = self.num_channels // self.num_groups
        mask = torch.zeros(self.num_channels, dtype=x.dtype)
        mask[kept] = 1
        shape = (x.shape[0], self.num_groups, width, -1)
        y = x.reshape(shape)
        m = mask.view(1, self.num_groups, width, 1)
        count = (m.sum((2, 3), keepdim=True) * y.shape[-1]).clamp(min=1)
        y = (y - (y * m).sum((2, 3), keepdim=True) / count) * m
        y = y / ((y * y).sum((2, 3), keepdim=True) / count + self.eps).sqrt()
        each = (1, -1) + (1,) * (x.dim() - 2)
        return y.reshape(x.shape) * self.weight.view(each) + self.bias.view(each)

    return forward


NORMS = {
    "LayerNorm": layer_norm,
    "RmsNorm": rms_norm,
    "RMSNorm": rms_norm,
    "ChannelNorm": channel_norm,
    "GroupNorm": group_norm,
}


def patch_norms(model: nn.Module, kept: dict[str, list[Tensor] | None]) -> None:
    """Norms over channels count what is kept, as the subnet's do. A norm that was left out gives zeros."""
    for name, module in model.named_modules(remove_duplicate=False):
        make = NORMS.get(type(module).__name__)
        if make is None or getattr(module, "weight", None) is None:
            continue
        indices = kept.get(f"{name}.weight", [torch.empty(0, dtype=torch.long)])
        if indices is not None and len(indices[0]) != module.weight.shape[0]:
            module.forward = types.MethodType(make(module, indices[0]), module)
