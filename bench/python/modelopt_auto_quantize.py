"""nvidia-modelopt's auto_quantize on a digits model at a bound on effective bits, on the CPU; one JSON line on standard output.

    .peers/bin/python bench/python/modelopt_auto_quantize.py [--model digits_resnet] [--effective-bits 6] [--method gradient]
        [--seed 0] [--formats int8,int4]

Formats: int8 is ModelOpt's INT8_DEFAULT_CFG (weights by channel, activations by tensor, both symmetric); int4 the same with
weights of 4 bits. Calibrated and scored on `--batches` batches of training images that the seed draws; accuracy and
cross-entropy are of the 500 held-out images. ModelOpt counts an unquantized weight as 16 bits.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from common import FIXTURES, eager, output_to_stderr, report


def fmt(bits: int) -> dict:
    return {
        "quant_cfg": [
            {"quantizer_name": "*", "enable": False},
            {"quantizer_name": "*weight_quantizer", "cfg": {"num_bits": bits, "axis": 0}},
            {"quantizer_name": "*input_quantizer", "cfg": {"num_bits": 8, "axis": None}},
        ],
        "algorithm": "max",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="digits_resnet")
    parser.add_argument("--effective-bits", type=float, default=6)
    parser.add_argument("--method", default="gradient", choices=["gradient", "kl_div"])
    parser.add_argument("--formats", default="8,4", help="bits of the weights to choose from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--batch", type=int, default=128)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    data = {name: torch.from_numpy(value) for name, value in np.load(FIXTURES / "digits.npz").items()}
    order = torch.randperm(len(data["train_images"]))[: args.batches * args.batch]
    images, labels = data["train_images"][order], data["train_labels"][order]
    batches = list(zip(images.split(args.batch), labels.split(args.batch)))
    model = eager(args.model)

    import modelopt.torch.quantization as mtq

    kl = args.method == "kl_div"
    start = time.perf_counter()
    with output_to_stderr():
        model, state = mtq.auto_quantize(
            model,
            constraints={"effective_bits": args.effective_bits},
            quantization_formats=[fmt(int(bits)) for bits in args.formats.split(",")],
            data_loader=batches,
            forward_step=(lambda m, batch: m(batch[0])),
            loss_func=None if kl else (lambda output, batch: F.cross_entropy(output, batch[1])),
            num_calib_steps=args.batches,
            num_score_steps=args.batches,
            method=args.method,
        )
    seconds = time.perf_counter() - start
    model.eval()
    with torch.no_grad():
        logits = model(data["test_images"])
    report(
        "modelopt auto_quantize",
        model=args.model,
        method=args.method,
        seed=args.seed,
        accuracy=(logits.argmax(1) == data["test_labels"]).float().mean().item(),
        crossEntropy=F.cross_entropy(logits, data["test_labels"]).item(),
        effectiveBits=state["best"]["constraints"]["effective_bits"],
        quantizable=len(state["best"]["recipe"]),
        recipe={str(k): str(v) for k, v in state["best"]["recipe"].items()},
        seconds=seconds,
    )


if __name__ == "__main__":
    main()
