"""The peers' side of bench/profile.mjs: answers JSON lines on standard input until it ends.

    {"op": "load", "model": NAME}
    {"op": "flopCounter"}       PyTorch's FlopCounterMode on the CPU; `flopCounterMeta` on the meta device, without arithmetic
    {"op": "fvcore"}            fvcore's FlopCountAnalysis
    {"op": "torchPruning"}      Torch-Pruning's dependency graph
"""

import copy
import json
import os
import sys
import time
import traceback
from collections.abc import Callable

import torch
from common import eager, input_shape, output_to_stderr
from torch.utils.flop_counter import FlopCounterMode


class Peers:
    def __init__(self, model: str) -> None:
        # The counter and fvcore would miss the attention that the fused operator does.
        torch.backends.mha.set_fastpath_enabled(False)
        self.model = eager(model)
        self.x = torch.rand(1, *input_shape(model))
        self.meta = copy.deepcopy(self.model).to("meta")

    def flopCounter(self) -> int:
        return self._count(self.model, self.x)

    def flopCounterMeta(self) -> int:
        return self._count(self.meta, self.x.to("meta"))

    def fvcore(self) -> int:
        from fvcore.nn import FlopCountAnalysis

        with torch.no_grad():
            analysis = FlopCountAnalysis(self.model, self.x)
            return int(analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())

    def torchPruning(self) -> None:
        import torch_pruning

        torch_pruning.DependencyGraph().build_dependency(self.model, self.x)

    @staticmethod
    def _count(model: torch.nn.Module, x: torch.Tensor) -> int:
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            model(x)
        return counter.get_total_flops() // 2


def timed(body: Callable[[], int | None]) -> dict:
    start = time.perf_counter()
    macs = body()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, **({} if macs is None else {"macs": macs})}


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    peers: Peers | None = None
    for line in sys.stdin:
        request = json.loads(line)
        op = request.pop("op")
        try:
            with output_to_stderr():
                if op == "load":
                    peers = Peers(**request)
                    answer = {}
                else:
                    answer = timed(getattr(peers, op))
        except Exception:  # noqa: BLE001  the other side reports it
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
