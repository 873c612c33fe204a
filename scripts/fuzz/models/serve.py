"""Answers JSON lines on standard input: makes models of the grammar, and holds their exported subnets against PyTorch.

{"op": "draw", "seed", "index", "known"}   -> {"tree"}
{"op": "known"}                            -> {"known": [a sentence for each known fault]}
{"op": "make", "tree", "folder"}           -> {"file", "inputs", "shapes", "source", …} or {"invalid": why}
{"op": "judge", "folder", "subnets": […]}  -> {"faults": […], "skipped": […]}
{"op": "shrink", "tree"}                   -> {"trees": […]}, candidates in the order to try them
"""

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch  # noqa: E402
from grammar.known import describe  # noqa: E402
from grammar.model import draw_tree, write_source  # noqa: E402
from grammar.shrink import candidates  # noqa: E402
from oracle.judge import judge, last_line  # noqa: E402
from oracle.made import Made, make  # noqa: E402

#: The models that may still be asked about, by folder.
MADE: dict[str, Made] = {}


def on_make(request: dict) -> dict:
    try:
        made = make(request["tree"], Path(request["folder"]))
    except Exception as error:  # the grammar may draw what PyTorch refuses
        return {"invalid": f"{type(error).__name__}: {last_line(error)}"}
    MADE[request["folder"]] = made
    return {
        "file": made.original.file,
        "inputs": str(made.folder / "inputs.safetensors"),
        "shapes": [list(x.shape) for x in made.inputs],
        "source": made.source,
        "methods": [*made.program.methods, *made.program.attributes],
    }


def on_judge(request: dict) -> dict:
    made = MADE[request["folder"]]
    faults, skipped = [], []
    for subnet in request["subnets"]:
        found, left_out = judge(made, subnet)
        faults += found
        skipped += left_out
    return {"faults": faults, "skipped": skipped}


def on_forget(request: dict) -> dict:
    MADE.pop(request["folder"], None)
    if not request.get("keep"):
        shutil.rmtree(request["folder"], ignore_errors=True)
    return {}


def on_shrink(request: dict) -> dict:
    trees, seen = [], set()
    for tree in candidates(request["tree"]):
        try:
            source, _ = write_source(tree)
        except Exception:  # noqa: S112  a candidate that is no model
            continue
        key = (source, tree["form"], json.dumps(tree["input"]), tree["divisor"])
        if key not in seen:
            seen.add(key)
            trees.append(tree)
    return {"trees": trees}


HANDLERS = {
    "draw": lambda request: {"tree": draw_tree(request["seed"], request["index"], request["known"])},
    "known": lambda request: {"known": describe()},
    "make": on_make,
    "judge": on_judge,
    "forget": on_forget,
    "shrink": on_shrink,
}


def main() -> None:
    torch.set_num_threads(1)
    # Each graph runs a few times only; optimizing it would take longer. The legacy executor, another way to save that,
    # crashes after an exception.
    torch._C._set_graph_executor_optimize(False)
    torch.backends.mha.set_fastpath_enabled(False)  # it would pass by the norms that count kept channels only
    print(json.dumps({"ready": True, "torch": torch.__version__}), flush=True)
    answers, sys.stdout = sys.stdout, sys.stderr  # a model's print must not be taken for an answer
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(HANDLERS[request["op"]](request)), file=answers, flush=True)


if __name__ == "__main__":
    main()
