"""For bench/exported.mjs: one {"file": …, "passes": N} a line; the fastest torch.export.load in milliseconds."""

import json
import sys
import time

import torch

torch.set_num_threads(1)
for line in sys.stdin:
    request = json.loads(line)
    best = float("inf")
    for _ in range(request["passes"]):
        start = time.perf_counter()
        torch.export.load(request["file"])
        best = min(best, time.perf_counter() - start)
    print(json.dumps({"milliseconds": best * 1000}), flush=True)
