"""Torch-Pruning on the digits ResNet, with the data, passes and teacher of bench/compress.mjs: a JSON line for each run.

    .peers/bin/python bench/python/compress_peers.py --target 0.4 --seeds 3

Two rounds of pruning and training, as two steps of `compress()`: group importance by norm, global ranking, then AdamW on
labels and the whole model's logits, half each.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torch_pruning as tp

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "test" / "fixtures"
sys.path.insert(0, str(ROOT / "scripts" / "fixtures"))
from models.resnet import DigitsResNet  # noqa: E402


def whole() -> torch.nn.Module:
    model = DigitsResNet()
    model.load_state_dict(torch.jit.load(str(FIXTURES / "digits_resnet.pt")).state_dict())
    return model.eval()


def train(model, teacher, images, labels, epochs: int, seed: int, rate: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    steps = epochs * -(-len(images) // 64)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=generator).split(64):
            with torch.no_grad():
                answers = teacher(images[rows])
            logits = model(images[rows])
            soft = F.kl_div(
                F.log_softmax(logits / 4, 1), F.log_softmax(answers / 4, 1), reduction="batchmean", log_target=True
            )
            loss = F.cross_entropy(logits, labels[rows]) / 2 + 16 * soft / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def accuracy(model, images, labels) -> float:
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def run(target: float, seed: int, importance: str) -> dict:
    data = np.load(FIXTURES / "digits.npz")
    images, labels, held, truth = (
        torch.from_numpy(data[key]) for key in ("train_images", "train_labels", "test_images", "test_labels")
    )
    torch.manual_seed(seed)
    example = torch.zeros(1, 1, 8, 8)
    teacher, model = whole(), whole()
    full, _ = tp.utils.count_ops_and_params(model, example)
    last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    measure = {
        "norm": lambda: tp.importance.GroupMagnitudeImportance(p=2),
        "taylor": lambda: tp.importance.GroupTaylorImportance(),
        "lamp": lambda: tp.importance.LAMPImportance(p=2),
    }[importance]()
    begun = time.process_time()
    for step in (1, 2):
        bound = full * target ** (step / 2)
        pruner = tp.pruner.BasePruner(
            model, example, measure, iterative_steps=400, pruning_ratio=0.98, global_pruning=True, ignored_layers=last
        )
        while tp.utils.count_ops_and_params(model, example)[0] > bound:
            if importance == "taylor":
                model.zero_grad()
                F.cross_entropy(model(images[:256]), labels[:256]).backward()
            pruner.step()
        train(model, teacher, images, labels, 3 * step, seed, 1e-3)
    flops, params = tp.utils.count_ops_and_params(model, example)
    return {
        "peer": f"Torch-Pruning {tp.__version__}, {importance}" if hasattr(tp, "__version__") else importance,
        "seed": seed,
        "accuracy": accuracy(model, held, truth),
        "flops": flops / full,
        "params": params / sum(p.numel() for p in teacher.parameters()),
        "seconds": time.process_time() - begun,
    }


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--target", type=float, default=0.4)
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--importance", nargs="*", default=["norm", "taylor", "lamp"])
args = parser.parse_args()
torch.set_num_threads(1)
for name in args.importance:
    for number in range(args.seeds):
        print(json.dumps(run(args.target, number, name)), flush=True)
