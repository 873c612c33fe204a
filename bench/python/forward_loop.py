"""Images per second of PyTorch's ways to run one model; one JSON line on standard output.

    forward_loop.py --model digits_resnet|NAME|FILE.pt [--input 1x8x8] [--batch 64] [--threads 1] [--seconds 3]
        [--variants eager,script,frozen]

eager: the model's Python; script: torch.jit.script; frozen: torch.jit.freeze + optimize_for_inference; a .pt file has no
eager variant. The same batch is fed again and again under inference_mode; rounds of the variants alternate, so that a
disturbance of the machine hits all of them. imagesPerSecond is by the median call.
"""

import argparse

import torch
from common import eager, input_shape, report, summary, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", help="one sample's shape, such as 3x224x224; needed for a .pt file")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0, help="measured seconds a variant")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", default="eager,script,frozen")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    from_file = args.model.endswith(".pt")
    if from_file and not args.input:
        parser.error("a .pt file needs --input")
    shape = [int(n) for n in args.input.split("x")] if args.input else input_shape(args.model)
    x = torch.rand(args.batch, *shape, generator=torch.Generator().manual_seed(0))
    wanted = [v for v in args.variants.split(",") if not (from_file and v == "eager")]
    source = torch.jit.load(args.model).eval() if from_file else eager(args.model)
    variants = {}
    with torch.inference_mode():
        for name in wanted:
            if name == "eager":
                variants[name] = source
            elif name == "script":
                variants[name] = source if from_file else torch.jit.script(source)
            elif name == "frozen":
                scripted = source if from_file else torch.jit.script(source)
                variants[name] = torch.jit.optimize_for_inference(torch.jit.freeze(scripted))
            else:
                parser.error(f"unknown variant {name!r}: eager, script, frozen")
        times: dict[str, list[float]] = {name: [] for name in variants}
        for round_index in range(args.rounds):
            for name, model in variants.items():
                # The profiling executor specializes in the first calls: they are warm-up.
                warmup = 5 if round_index == 0 else 1
                times[name] += timed(lambda model=model: model(x), args.seconds / args.rounds, warmup)
    results = {}
    for name, measured in times.items():
        figures = summary(measured)
        results[name] = {**figures, "imagesPerSecond": args.batch / figures["medianSeconds"]}
    report("pytorch", model=args.model, batch=args.batch, input=shape, variants=results)


if __name__ == "__main__":
    main()
