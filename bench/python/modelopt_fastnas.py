"""nvidia-modelopt's FastNAS on one model under one budget, on the CPU; one JSON line on standard output.

    .peers/bin/python bench/python/modelopt_fastnas.py [--model digits_resnet] [--constraint flops=60%] [--divisor 32]
        [--threads 1] [--batch 64] [--score accuracy] [--score-samples 500] [--calibration-samples 320]

The models know digits: digits_resnet, digits_cnn, mobilenet_v2_digits. They are scored by accuracy or minus the cross-entropy
on the first training images, calibrated on the same, and finally measured on the 500 held-out ones. bench/workers/fastnas.mjs
does the same with torchsearch.
"""

import argparse
import time

import torch
from common import digits_data, eager, input_shape, output_to_stderr, report


def batches(images: torch.Tensor, labels: torch.Tensor, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(images.split(size), labels.split(size)))


@torch.no_grad()
def accuracy(model: torch.nn.Module, data: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    correct = sum((model(x).argmax(1) == y).sum().item() for x, y in data)
    return correct / sum(len(y) for _, y in data)


@torch.no_grad()
def minus_cross_entropy(model: torch.nn.Module, data: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    loss = sum(torch.nn.functional.cross_entropy(model(x), y, reduction="sum").item() for x, y in data)
    return -loss / sum(len(y) for _, y in data)


SCORES = {"accuracy": accuracy, "crossEntropy": minus_cross_entropy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="digits_resnet")
    parser.add_argument("--constraint", default="flops=60%")
    parser.add_argument("--divisor", type=int, default=32, help="channel divisor (ModelOpt's default is 32)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--score", choices=SCORES, default="accuracy")
    parser.add_argument("--score-samples", type=int, default=500)
    parser.add_argument("--calibration-samples", type=int, default=320)
    parser.add_argument("--save", help="write the searched model's TorchScript file here")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    measure = SCORES[args.score]
    metric, _, bound = args.constraint.partition("=")
    model = eager(args.model)
    dummy = torch.zeros(1, *input_shape(args.model))
    data = digits_data(args.model)
    images, labels = data["train_images"], data["train_labels"]
    held_out = batches(data["test_images"], data["test_labels"], args.batch)
    score_data = batches(images[: args.score_samples], labels[: args.score_samples], args.batch)
    calibration = batches(images[: args.calibration_samples], labels[: args.calibration_samples], args.batch)

    import modelopt.torch.prune as mtp
    from modelopt.torch.prune.fastnas import BinarySearcher, FastNASConfig
    from torch.utils.flop_counter import FlopCounterMode

    def flops(m: torch.nn.Module) -> int:
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            m(dummy)
        return counter.get_total_flops()

    evaluations = 0

    def score(m: torch.nn.Module) -> float:
        nonlocal evaluations
        evaluations += 1
        return measure(m, score_data)

    config = FastNASConfig().model_dump()
    for rules in config.values():
        for rule in rules.values() if isinstance(rules, dict) else []:
            if isinstance(rule, dict):
                for key in ("channel_divisor", "feature_divisor"):
                    if key in rule:
                        rule[key] = args.divisor
    before = {
        "score": measure(model, score_data),
        "flops": flops(model),
        "params": sum(p.numel() for p in model.parameters()),
        "heldOut": accuracy(model, held_out),
    }
    choices = {}
    original = BinarySearcher._get_binary_search_hps

    def seen(searcher):
        found = original(searcher)
        choices.update({name: len(parameter.choices) for name, parameter in found.items()})
        return found

    BinarySearcher._get_binary_search_hps = seen  # only to say how large the space is
    with output_to_stderr():
        start = time.perf_counter()
        subnet, state = mtp.prune(
            model=model,
            mode=[("fastnas", config)],
            constraints={metric: bound if bound.endswith("%") else float(bound)},
            dummy_input=dummy,
            config={
                "data_loader": calibration,
                "score_func": score,
                "collect_func": lambda batch: batch[0],
                "verbose": False,
            },
        )
        seconds = time.perf_counter() - start
        subnet.eval()
    if args.save:
        torch.jit.trace(subnet, dummy).save(args.save)
    report(
        "modelopt",
        version=__import__("modelopt").__version__,
        model=args.model,
        constraint=args.constraint,
        divisor=args.divisor,
        batch=args.batch,
        scoreSamples=args.score_samples,
        calibrationSamples=args.calibration_samples,
        seconds=seconds,
        hyperparameters=len(choices),
        choices=sum(choices.values()),
        evaluations=evaluations,
        scoreBefore=before["score"],
        scoreAfter=measure(subnet, score_data),
        heldOutBefore=before["heldOut"],
        heldOutAfter=accuracy(subnet, held_out),
        flopsBefore=before["flops"],
        flopsAfter=flops(subnet),
        paramsBefore=before["params"],
        paramsAfter=sum(p.numel() for p in subnet.parameters()),
    )


if __name__ == "__main__":
    main()
