"""Seconds that PyTorch's FlopCounterMode and fvcore take to profile a model; one JSON line on standard output.

    flopcounter.py --model NAME [--threads 1] [--runs 5]
"""

import argparse

import torch
from common import eager, input_shape, report, summary, timed
from torch.utils.flop_counter import FlopCounterMode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.backends.mha.set_fastpath_enabled(False)
    model = eager(args.model)
    x = torch.rand(1, *input_shape(args.model))
    totals: dict[str, float] = {}

    def count(module: torch.nn.Module, sample: torch.Tensor, name: str) -> None:
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            module(sample)
        totals[name] = counter.get_total_flops()

    results = {"flopCounter": summary(timed(lambda: count(model, x, "flopCounter"), 0.0, 1, args.runs))}
    try:
        from fvcore.nn import FlopCountAnalysis

        def analyse() -> None:
            with torch.no_grad():
                analysis = FlopCountAnalysis(model, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
                totals["fvcoreMacs"] = analysis.total()

        results["fvcore"] = summary(timed(analyse, 0.0, 1, args.runs))
    except ImportError:
        results["fvcore"] = None
    # Last, since it moves the weights away: no arithmetic at all, the counter's least possible time.
    meta, meta_x = model.to("meta"), x.to("meta")
    results["flopCounterMeta"] = summary(timed(lambda: count(meta, meta_x, "flopCounterMeta"), 0.0, 1, args.runs))
    report("flopcounter", model=args.model, totals=totals, results=results)


if __name__ == "__main__":
    main()
