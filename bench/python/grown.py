"""Writes synthetic networks of a given number of layers, scripted and in eval mode, for bench/growth.mjs.

    grown.py --out DIR KIND:LAYERS...

chain: convolution, batch norm and ReLU, one after the other, 32 channels each; residual: blocks of two such layers with a
shortcut. Inputs are 1 x 16 x 16, outputs 10 classes. Existing files are kept.
"""

import argparse
import os
from pathlib import Path

import torch
from torch import nn

WIDTH = 32


def layer(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*layer(WIDTH, WIDTH), *layer(WIDTH, WIDTH)[:2])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.body(x))


def build(kind: str, layers: int) -> nn.Module:
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 10)]
    stem = layer(1, WIDTH)
    if kind == "chain":
        body = [module for _ in range(layers - 1) for module in layer(WIDTH, WIDTH)]
    else:
        body = [Block() for _ in range((layers - 1) // 2)]
    return nn.Sequential(*stem, *body, *head).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("names", nargs="+")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.names:
        kind, layers = name.split(":")
        path = args.out / f"{kind}-{layers}.pt"
        if not path.exists():
            torch.manual_seed(0)
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            torch.jit.script(build(kind, int(layers))).save(str(temporary))
            temporary.replace(path)


if __name__ == "__main__":
    main()
