"""torchvision's mobilenet_v2 trained on scikit-learn's digits, enlarged to 3 x 64 x 64; made once, kept in .bench.

    .peers/bin/python bench/python/mobilenet_digits.py [--epochs 12]

A network of real size that a CPU searches in minutes, with a score that means something.
"""

import argparse
import sys

import numpy as np
import torch
from common import FIXTURES, ROOT
from torch import nn

PATH = ROOT / ".bench" / "mobilenet_v2_digits.pth"


def enlarge(images: torch.Tensor) -> torch.Tensor:
    """[N, 1, 8, 8] to [N, 3, 64, 64]."""
    return nn.functional.interpolate(images, size=(64, 64), mode="bilinear").expand(-1, 3, -1, -1).contiguous()


def build() -> nn.Module:
    import zoo

    return zoo.build("mobilenet_v2", num_classes=10)


def data() -> dict[str, torch.Tensor]:
    arrays = {name: torch.from_numpy(value) for name, value in np.load(FIXTURES / "digits.npz").items()}
    return {name: enlarge(value) if name.endswith("images") else value for name, value in arrays.items()}


def train(epochs: int) -> nn.Module:
    torch.manual_seed(0)
    model = build().train()
    samples = data()
    images, labels = samples["train_images"], samples["train_labels"]
    batches = len(images) // 64
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * batches)
    for epoch in range(epochs):
        order = torch.randperm(len(images))
        for index in range(batches):
            batch = order[64 * index : 64 * (index + 1)]
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}/{epochs}: loss {loss.item():.4f}", file=sys.stderr)
    model.eval()
    with torch.no_grad():
        right = torch.cat([model(x).argmax(1) for x in samples["test_images"].split(100)]) == samples["test_labels"]
    print(f"held-out accuracy {right.float().mean().item():.4f}", file=sys.stderr)
    return model


def load(epochs: int = 12) -> nn.Module:
    """The trained model; trains it when it isn't there."""
    if not PATH.exists():
        PATH.parent.mkdir(exist_ok=True)
        temporary = PATH.with_suffix(".tmp")
        torch.save(train(epochs).state_dict(), temporary)
        temporary.replace(PATH)
    model = build()
    model.load_state_dict(torch.load(PATH, weights_only=True))
    return model.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    load(parser.parse_args().epochs)
