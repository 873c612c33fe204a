/** Training by shards of a batch, in one process: what it must leave alone. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, it } from "vitest";

import { finetune, Module, Tensor } from "../../lib";
import { runPython } from "../data/python";

const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-shards-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("keeps complex buffers, such as the turns of rotary embeddings", { timeout: 60_000 }, async () => {
  const file = path.join(folder, "rotary.pt");
  const [x, y] = runPython<[number[], number[]]>(
    `import json, sys, torch
torch.manual_seed(0)
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(8, 8)
        self.register_buffer("turns", torch.polar(torch.ones(4), torch.linspace(0.3, 2.0, 4)))
        self.outer = torch.nn.Linear(8, 3)
    def forward(self, x):
        pairs = torch.view_as_complex(self.inner(x).reshape(-1, 4, 2))
        return self.outer(torch.view_as_real(pairs * self.turns).flatten(1))
net, x = Net().eval(), torch.randn(6, 8)
torch.jit.trace(net, x).save(sys.argv[1])
print(json.dumps([x.flatten().tolist(), net(x).flatten().tolist()]))`,
    file,
  );
  const inputs = Tensor.from(Float32Array.from(x), [6, 8]);
  const labels = Tensor.from(BigInt64Array.from([0n, 1n, 2n, 0n, 1n, 2n]), [6]);
  for (const dataShards of [1, 2, 3]) {
    const module = await Module.load(file);
    await finetune(module, [[inputs, labels]], { steps: 1, learningRate: 1e-12, weightDecay: 0, dataShards });
    const output = (await module.forward(inputs)) as Tensor;
    const values = Array.from(output.data() as Float32Array);
    for (const [i, value] of values.entries())
      expect(value, `${dataShards} shards`).toBeCloseTo(y[i] as number, 5);
    module.close();
  }
});
