"""Seconds that Torch-Pruning takes to build a model's dependency graph, and to halve it; one JSON line on standard output.

    .peers/bin/python bench/python/torch_pruning_graph.py --model NAME [--threads 1] [--runs 3] [--prune]
"""

import argparse
import copy
import time

import torch
from common import eager, input_shape, output_to_stderr, report, summary, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--prune", action="store_true", help="also prune every layer but the last linear one to half")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    import torch_pruning as tp

    model = eager(args.model)
    x = torch.rand(1, *input_shape(args.model))
    with output_to_stderr():
        with torch.no_grad():
            forward = summary(timed(lambda: model(x), 0.0, 1, args.runs))
        graph = summary(timed(lambda: tp.DependencyGraph().build_dependency(model, x), 0.0, 1, args.runs))
        pruned: dict | None = None
        if args.prune:
            target = copy.deepcopy(model)
            last = [module for module in target.modules() if isinstance(module, torch.nn.Linear)][-1:]
            start = time.perf_counter()
            try:
                pruner = tp.pruner.MagnitudePruner(
                    target, x, importance=tp.importance.MagnitudeImportance(p=2), pruning_ratio=0.5, ignored_layers=last
                )
                pruner.step()
                with torch.no_grad():
                    target(x)
                error = None
            except Exception as failure:  # noqa: BLE001  a peer that breaks on a model is a result
                error = f"{type(failure).__name__}: {failure}".split("\n")[0][:300]
            pruned = {
                "seconds": time.perf_counter() - start,
                "paramsBefore": sum(p.numel() for p in model.parameters()),
                "paramsAfter": sum(p.numel() for p in target.parameters()),
                "error": error,
            }
    report("torch-pruning", version=tp.__version__, model=args.model, forward=forward, graph=graph, pruned=pruned)


if __name__ == "__main__":
    main()
