"""Norms. Those over channels are patched by the oracle (oracle/masked.py), which is why they hold a weight."""

from .registry import ANY, SPATIAL, layer
from .writer import divisor


@layer("batch-norm", "image seq vol flat tokens", lambda d: {"affine": d.chance(0.9), "free": d.chance(0.1)}, weight=4)
def emit_batch_norm(w, s, n):
    dims = max(1, s.dims)
    extra = ("" if n["affine"] else ", affine=False") + (
        ", track_running_stats=False" if n["free"] and n["affine"] and s.dims else ""
    )
    module = w.add(f"nn.BatchNorm{dims}d({s.c}{extra})")
    if s.kind == "tokens":
        return s.to(w.let(f"{module}({s.var}.transpose(1, 2)).transpose(1, 2)"), zero=s.zero and n["affine"])
    return s.to(w.let(f"{module}({s.var})"), zero=n["affine"])


@layer("group-norm", SPATIAL, lambda d: {"groups": d.pick(1, 2, 4, 99)}, weight=1.5)
def emit_group_norm(w, s, n):
    module = w.add(f"nn.GroupNorm({s.c if n['groups'] == 99 else divisor(s.c, n['groups'])}, {s.c})")
    return s.to(w.let(f"{module}({s.var})"), zero=True)


@layer("instance-norm", SPATIAL, lambda d: {"affine": d.chance(0.6)}, weight=0.7)
def emit_instance_norm(w, s, n):
    if s.size == (1,) * s.dims:
        raise ValueError("one value has no deviation")
    module = w.add(f"nn.InstanceNorm{s.dims}d({s.c}{', affine=True' if n['affine'] else ''})")
    return s.to(w.let(f"{module}({s.var})"))


@layer("layer-norm", "tokens flat", lambda d: {"bare": d.chance(0.1)}, weight=4)
def emit_layer_norm(w, s, n):
    if n["bare"]:
        w.inexact("a norm without weights")
    module = w.add(f"nn.LayerNorm({s.c}{', elementwise_affine=False' if n['bare'] else ''})")
    return s.to(w.let(f"{module}({s.var})"), zero=True)


@layer("channel-layer-norm", "image seq", lambda d: {"spelling": d.pick("permute", "mean")}, weight=1.5)
def emit_channel_layer_norm(w, s, n):
    if n["spelling"] == "permute":
        module = w.add(f"nn.LayerNorm({s.c})")
        there, back = ("0, 2, 3, 1", "0, 3, 1, 2") if s.dims == 2 else ("0, 2, 1", "0, 2, 1")
        return s.to(w.let(f"{module}({s.var}.permute({there})).permute({back})"), zero=True)
    w.program.helpers.add("ChannelNorm")
    return s.to(w.let(f"{w.add(f'ChannelNorm({s.c})')}({s.var})"), zero=True)


@layer("rms-norm", "tokens flat", lambda d: {"spelling": d.pick("own", "own", "torch")}, weight=1.5)
def emit_rms_norm(w, s, n):
    if n["spelling"] == "own":
        w.program.helpers.add("RmsNorm")
        return s.to(w.let(f"{w.add(f'RmsNorm({s.c})')}({s.var})"), zero=True)
    w.program.own_epsilon = True
    return s.to(w.let(f"{w.add(f'nn.RMSNorm({s.c})')}({s.var})"), zero=True)


@layer("l2-norm", ANY, lambda d: {"spelling": d.pick("call", "norm")}, weight=0.4)
def emit_l2_norm(w, s, n):
    if not s.zero:
        w.inexact("a norm over channels that zero weights don't zero")
    if n["spelling"] == "call":
        return s.to(w.let(f"F.normalize({s.var}, dim={s.axis})"))
    return s.to(w.let(f"{s.var} / (torch.linalg.vector_norm({s.var}, dim={s.axis}, keepdim=True) + 1e-3)"))


@layer("response-norm", "image seq", weight=0.2)
def emit_response_norm(w, s, n):
    return s.to(w.let(f"F.local_response_norm({s.var}, 3)"))


@layer("global-response-norm", "image", weight=0.4)
def emit_global_response_norm(w, s, n):
    """ConvNeXt V2's: the norm of each channel over the image, divided by the channels' mean of it."""
    w.inexact("a mean over channels")
    gamma, beta = w.add_parameter(1, s.c, 1, 1), w.add_parameter(1, s.c, 1, 1)
    g = w.let(f"torch.linalg.vector_norm({s.var}, dim=(2, 3), keepdim=True)")
    return s.to(w.let(f"{s.var} * ({g} / ({g}.mean(1, keepdim=True) + 1e-3)) * {gamma} + {beta} + {s.var}"))


HELPERS = {
    "Pair": """class Pair(NamedTuple):
    before: Tensor
    after: Tensor""",
    "RmsNorm": """class RmsNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:
        dtype = x.dtype
        x = x.to(torch.float32)
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)).to(dtype)""",
    "ChannelNorm": """class ChannelNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(width)), nn.Parameter(torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        y = (x - mean) / ((x - mean).pow(2).mean(1, keepdim=True) + 1e-6).sqrt()
        if x.dim() == 4:
            return self.weight[:, None, None] * y + self.bias[:, None, None]
        return self.weight[:, None] * y + self.bias[:, None]""",
}
