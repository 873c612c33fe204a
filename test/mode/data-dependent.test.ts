/** Models that read tensors' values are refused with the place in the source, and what would do instead. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, Module, Tensor, type TorchSearchError } from "../../lib/index";
import { python } from "../support/zoo";

const SOURCE = `
import sys, torch
from typing import List
from torch import nn
folder = sys.argv[1]

class Inner(nn.Module):
    def __init__(self):
        super().__init__(); self.a = nn.Linear(8, 16)
    def forward(self, x, n):
        k = int(n.max().item())  # item
        return self.a(x[:, :k])

class Item(nn.Module):
    def __init__(self):
        super().__init__(); self.encoder = Inner(); self.b = nn.Linear(16, 4)
    def forward(self, x, n):
        return self.b(self.encoder(x, n).relu().mean(1))

class Packed(nn.Module):
    def __init__(self):
        super().__init__(); self.rnn = nn.GRU(8, 16, batch_first=True); self.b = nn.Linear(16, 4)
    def forward(self, x, n):
        packed = nn.utils.rnn.pack_padded_sequence(x, n, batch_first=True, enforce_sorted=False)  # packed
        _, state = self.rnn(packed)
        return self.b(state[0])

class Picked(nn.Module):
    def __init__(self):
        super().__init__(); self.a = nn.Linear(8, 16); self.b = nn.Linear(16, 4)
    def forward(self, x, n):
        rows = torch.nonzero(x[:, 0, 0] > -9).squeeze(1)  # picked
        return self.b(self.a(x).relu()[rows])

class Listed(nn.Module):
    def __init__(self):
        super().__init__(); self.a = nn.Linear(8, 16); self.b = nn.Linear(16, 4)
    def forward(self, x, n):
        values: List[int] = n.tolist()  # listed
        return self.b(self.a(x).relu()[:, : values[0]])

x, n = torch.randn(3, 6, 8), torch.tensor([6, 4, 3])
for model in [Item(), Packed(), Picked(), Listed()]:
    name = type(model).__name__.lower()
    torch.jit.script(model.eval()).save(f"{folder}/{name}.pt")
    try: torch.jit.trace(model.eval(), (x, n), check_trace=False).save(f"{folder}/{name}.traced.pt")
    except RuntimeError: pass
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-dependent-"));
  writeFileSync(path.join(folder, "model.py"), SOURCE);
  execFileSync(python, ["-W", "ignore", path.join(folder, "model.py"), folder]);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** The line of the source with a comment. */
const lineOf = (comment: string): number =>
  SOURCE.split("\n").findIndex((line) => line.endsWith(`# ${comment}`)) + 1;

async function messageOf(file: string): Promise<string> {
  const module = await Module.load(path.join(folder, file));
  const x = Tensor.from(new Float32Array(3 * 6 * 8).fill(0.5), [3, 6, 8]);
  const n = Tensor.from(BigInt64Array.of(6n, 4n, 3n), [3]);
  const error = await convert(module, "fastnas", [x, n]).then(
    () => expect.unreachable("it converts"),
    (thrown: TorchSearchError) => thrown,
  );
  expect(error.code).toBe("ERR_DATA_DEPENDENT");
  return error.message;
}

describe("a model that reads values", () => {
  it.each([
    { name: "item", operator: "aten::item", module: "in module 'encoder'", remedy: "torch.jit.trace" },
    { name: "packed", operator: "aten::_pack_padded_sequence", module: "", remedy: "padded batch" },
    { name: "picked", operator: "aten::nonzero", module: "", remedy: "mask" },
    { name: "listed", operator: "prim::tolist", module: "", remedy: "torch.jit.trace" },
  ])("is refused with module, line and remedy: $name", async ({ name, operator, module, remedy }) => {
    const message = await messageOf(`${name}.pt`);
    expect(message).toContain(`'${operator}'`);
    expect(message).toContain(module);
    // LibTorch keeps no line for `tolist`.
    if (operator !== "prim::tolist") expect(message).toContain(`model.py:${lineOf(name)} (\``);
    expect(message).toContain(remedy);
  });

  it("is refused as a trace too where that keeps the values, and a trace isn't advised", async () => {
    const message = await messageOf("packed.traced.pt");
    expect(message).toContain(`model.py:${lineOf("packed")}`);
    expect(message).not.toContain("torch.jit.trace");
  });

  it("converts as a trace that does keep one run's numbers, as the message says", async () => {
    const module = await Module.load(path.join(folder, "item.traced.pt"));
    const x = Tensor.from(new Float32Array(3 * 6 * 8).fill(0.5), [3, 6, 8]);
    const space = await convert(module, "fastnas", [x, Tensor.from(BigInt64Array.of(6n, 4n, 3n), [3])]);
    expect(space.hyperparameters.map(({ name }) => name)).toEqual(["encoder.a"]);
    space.close();
  });
});
