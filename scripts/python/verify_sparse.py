"""Checks a sparse TorchScript file with PyTorch alone and prints what it finds as JSON.

    python verify_sparse.py FILE INPUT_SHAPE [--pattern N:M]

For each mask: the density, whether every M neighbours along the input channels hold N, whether the weight is zero where the
mask is. Then a few steps of SGD with weight decay, after which what forward multiplies by must have no other zeros gone.
"""

import argparse
import json

import torch


def grouped(mask: torch.Tensor, m: int) -> torch.Tensor:
    matrix = mask.permute(0, *range(2, mask.dim()), 1) if mask.dim() > 2 else mask
    return matrix.reshape(-1, m).sum(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("shape", type=lambda text: [int(size) for size in text.split("x")])
    parser.add_argument("--pattern")
    args = parser.parse_args()
    torch.manual_seed(0)
    model = torch.jit.load(args.file)
    parameters = dict(model.named_parameters())
    masks = {name[: -len("_mask")]: mask for name, mask in model.named_buffers() if name.endswith("_mask")}
    layers = {}
    for name, mask in masks.items():
        entry = {"density": mask.float().mean().item(), "zero": bool((parameters[name][~mask] == 0).all())}
        if args.pattern:
            n, m = map(int, args.pattern.split(":"))
            entry["pattern"] = bool((grouped(mask, m) == n).all())
        layers[name] = entry
    x = torch.randn(args.shape)
    with torch.no_grad():
        before = model(x)
    start = {name: parameters[name].detach().clone() for name in masks}
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    for name, mask in masks.items():
        layers[name]["kept_zero"] = bool((parameters[name][~mask] == 0).all())
        layers[name]["trained"] = bool((parameters[name] != start[name])[mask].any())
    model.eval()
    with torch.no_grad():
        after = model(x)
    print(json.dumps({"layers": layers, "output": before.flatten().tolist()[:10], "changed": not torch.equal(before, after)}))


if __name__ == "__main__":
    main()
