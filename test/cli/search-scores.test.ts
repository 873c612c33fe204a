/** How the command scores outputs and targets in unusual forms, and what it says about them. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { SearchOutcome } from "../../lib/cli/search-types";
import { runPython } from "../data/python";
import { type Ended, torchsearch } from "./command";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-scores-"));
  runPython(
    `
import sys, torch, numpy as np
folder = sys.argv[1]
torch.manual_seed(5)
def mlp(out): return torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, out))
class Heads(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.body = mlp(8); self.a = torch.nn.Linear(8, 4); self.b = torch.nn.Linear(8, 3)
    def forward(self, x):
        y = self.body(x).relu()
        return {"index": self.b(y).argmax(1), "first": self.a(y), "second": self.b(y)}
x = torch.randn(40, 6)
for name, model in {"column": mlp(1), "classes": mlp(3), "heads": Heads()}.items():
    torch.jit.save(torch.jit.trace(model.eval(), x[:2], strict=False), f"{folder}/{name}.pt")
np.savez(f"{folder}/alone.npz", x=x.numpy())
np.savez(f"{folder}/labels.npz", x=x.numpy(), y=torch.randint(0, 3, (40,)).numpy())
np.savez(f"{folder}/unfit.npz", x=x.numpy(), y=torch.randint(0, 90, (40, 2)).numpy())
`,
    folder,
  );
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

const QUICK = ["--channel-divisor", "2", "--batch-size", "16"];

let runs = 0;
/** Runs a search with files of its own. */
async function search(
  model: string,
  data: string,
  ...args: string[]
): Promise<Ended & { outcome: SearchOutcome }> {
  const output = ["--output", `subnet${runs++}.pt`];
  const run = await torchsearch(
    folder,
    ...["search", `${model}.pt`, "--data", `${data}.npz`, ...QUICK, ...output, "--json", ...args],
  );
  return { ...run, outcome: JSON.parse(run.stdout) as SearchOutcome };
}

/** The value of a Python expression over the models' outputs: `full` and `subnet`, and the targets `y`. */
function inPython(expression: string, model: string, data: string, { output }: SearchOutcome): number {
  return runPython<number>(
    `
import sys, json, torch, numpy as np
import torch.nn.functional as F
_, model, data, output = sys.argv
arrays = np.load(data); x = torch.from_numpy(arrays["x"])
y = torch.from_numpy(arrays["y"]) if "y" in arrays else None
with torch.no_grad(): full, subnet = torch.jit.load(model)(x), torch.jit.load(output)(x)
print(json.dumps((${expression}).item()))
`,
    path.join(folder, `${model}.pt`),
    path.join(folder, `${data}.npz`),
    output,
  );
}

const FLOPS = ["--constraint", "flops=60%"];

describe("torchsearch search", { timeout: 60_000 }, () => {
  it("scores one column by the squared error from the full model, and says so", async () => {
    const { outcome, stderr, status } = await search("column", "alone", ...FLOPS);
    expect(status, stderr).toBe(0);
    expect(stderr).toContain("have one column");
    expect(outcome.score).toMatchObject({
      name: "meanSquaredError",
      title: "-squared error from the full model's outputs",
      before: 0,
    });
    expect(outcome.score.after).toBeLessThan(0);
    expect(-outcome.score.after).toBeCloseTo(
      inPython("F.mse_loss(subnet.double(), full.double())", "column", "alone", outcome),
      6,
    );
    const asked = await search("column", "alone", ...FLOPS, "--score", "klDivergence");
    expect(asked).toMatchObject({ status: 1, outcome: { error: { code: "ERR_SCORE_INPUT" } } });
  });

  it("holds the tightest of a metric's bounds, and says so", async () => {
    const { outcome, stderr } = await search(
      "classes",
      "labels",
      ...FLOPS,
      "--constraint",
      "flops=50%",
      ...FLOPS,
    );
    expect(stderr).toContain("flops is bounded twice, by 60% and by 50%; the tighter one holds: 50%.");
    expect(outcome.bounds.flops).toBe((outcome.costs.before.flops as number) / 2);
    const mixed = await search("classes", "labels", ...FLOPS, "--constraint", "flops=1M");
    expect(mixed.status).toBe(2);
    expect(mixed.stderr).toContain("can't be compared");
  });

  it("doesn't fail over labels that a divergence doesn't need", async () => {
    const args = [...FLOPS, "--score", "klDivergence"];
    const { outcome, stderr, status } = await search("classes", "unfit", ...args);
    expect(status, stderr).toBe(0);
    expect(stderr).toContain("The targets aren't used");
    expect(outcome.accuracy).toBeNull();
    const fit = await search("classes", "labels", ...args);
    expect(fit.outcome.accuracy).not.toBeNull();
    expect(fit.outcome.score.after).toBeCloseTo(outcome.score.after, 6);
  });

  it("scores the part of a dictionary that is named, else the first floating one", async () => {
    const named = await search("heads", "labels", ...FLOPS, "--output-key", "second");
    expect(named.status, named.stderr).toBe(0);
    expect(-named.outcome.score.after).toBeCloseTo(
      inPython("F.cross_entropy(subnet['second'].double(), y)", "heads", "labels", named.outcome),
      6,
    );
    expect(named.stderr).not.toContain("first floating");
    const first = await search("heads", "labels", ...FLOPS);
    expect(first.stderr).toContain('"first", the first floating one');
    expect(-first.outcome.score.after).toBeCloseTo(
      inPython("F.cross_entropy(subnet['first'].double(), y)", "heads", "labels", first.outcome),
      6,
    );
  });

  it("refuses a searcher that needs targets before anything runs", async () => {
    const { status, stderr } = await search("classes", "alone", ...FLOPS, "--searcher", "gradient");
    expect(status).toBe(2);
    expect(stderr).toContain("--searcher gradient needs targets");
    expect(stderr).not.toContain("samples in");
  });
});
