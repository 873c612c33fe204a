/** Data in the form that a model takes them: names of arguments, numbers among them, and dtypes. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { SearchOutcome } from "../../lib/cli/search-types";
import { readCheckpoint, writeCheckpoint } from "../../lib/contract/checkpoint";
import { argumentsOf } from "../../lib/model/signature";
import { parseInputs } from "../../lib/profile/input-spec";
import { runPython } from "../data/python";
import { type Ended, torchsearch } from "./command";

let folder: string;
let expected: Record<"plain" | "bytes" | "rounded" | "tokens" | "rate3" | "values" | "soft", number>;

const MODELS = `
import torch
from typing import Optional
class Tokens(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.e = torch.nn.Embedding(9, 8); self.a = torch.nn.Linear(8, 16); self.b = torch.nn.Linear(16, 3)
    def forward(self, input_ids, attention_mask, token_type_ids: Optional[torch.Tensor] = None,
                labels: Optional[torch.Tensor] = None, rate: int = 1):
        y = self.e(input_ids) * attention_mask.unsqueeze(-1) * rate
        if token_type_ids is not None:
            y = y + token_type_ids.unsqueeze(-1)
        return self.b(self.a(y.mean(1)).relu())
`;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-fitting-"));
  writeFileSync(path.join(folder, "models.py"), MODELS);
  expected = runPython(
    `
import sys, json, torch, numpy as np
import torch.nn.functional as F
folder = sys.argv[1]; sys.path.insert(0, folder)
from models import Tokens
torch.manual_seed(1)
mlp = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)).eval()
x = torch.randn(24, 6); y = torch.randint(0, 3, (24,)); fine = torch.randn(24, 6, dtype=torch.float64)
raw = torch.randint(0, 256, (24, 6), dtype=torch.uint8)
torch.jit.save(torch.jit.trace(mlp, x[:2]), f"{folder}/mlp.pt")
np.savez(f"{folder}/wide.npz", x=x.double().numpy(), y=y.numpy())
np.savez(f"{folder}/bytes.npz", x=raw.numpy(), y=y.numpy())
np.savez(f"{folder}/fine.npz", x=fine.numpy(), y=y.numpy())
hot = F.one_hot(y, 3).float(); soft = torch.rand(24, 3).softmax(1)
np.savez(f"{folder}/hot.npz", x=x.numpy(), y=hot.numpy())
np.savez(f"{folder}/soft.npz", x=x.numpy(), y=soft.numpy())
tokens = torch.jit.script(Tokens().eval()); torch.jit.save(tokens, f"{folder}/tokens.pt")
ids = torch.randint(0, 9, (24, 5)); mask = torch.randint(0, 2, (24, 5)); kinds = torch.randint(0, 2, (24, 5))
np.savez(f"{folder}/tokens.npz", labels=y.numpy(), token_type_ids=kinds.numpy(), attention_mask=mask.numpy(), input_ids=ids.numpy())
np.savez(f"{folder}/masked.npz", labels=y.numpy(), attention_mask=mask.numpy(), input_ids=ids.numpy())
with torch.no_grad():
    loss = lambda out: F.cross_entropy(out.double(), y).item()
    print(json.dumps({"plain": loss(mlp(x)), "bytes": loss(mlp(raw.float())), "rounded": loss(mlp(fine.float())),
      "tokens": loss(tokens(ids, mask, kinds)), "rate3": loss(tokens(ids, mask, rate=3)),
      "values": F.mse_loss(mlp(x).double(), hot.double()).item(), "soft": F.cross_entropy(mlp(x).double(), soft.double()).item()}))
`,
    folder,
  );
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

let runs = 0;
async function search(
  model: string,
  data: string,
  ...args: string[]
): Promise<Ended & { outcome: SearchOutcome }> {
  const output = ["--output", `subnet${runs++}.pt`, "--channel-divisor", "2", "--constraint", "params=80%"];
  const run = await torchsearch(folder, "search", model, "--data", data, ...output, "--json", ...args);
  return { ...run, outcome: JSON.parse(run.stdout) as SearchOutcome };
}

describe("dtypes of files", { timeout: 60_000 }, () => {
  it.each<["plain" | "bytes", string, string]>([
    ["plain", "wide.npz", "float64"],
    ["bytes", "bytes.npz", "uint8"],
  ])("are converted to the model's where no value changes, which is said: %s", async (key, file, dtype) => {
    const { outcome, status, stderr } = await search("mlp.pt", file);
    expect(status, stderr).toBe(0);
    expect(stderr).toContain(`The model takes float32: "x" (${dtype}) is converted, and no value changes.`);
    expect(-outcome.score.before).toBeCloseTo(expected[key], 5);
  });

  it("are refused where values change, until --dtype asks for it", async () => {
    const refused = await search("mlp.pt", "fine.npz");
    expect(refused).toMatchObject({ status: 1, outcome: { error: { code: "ERR_DTYPE" } } });
    expect(refused.stderr).toMatch(
      /float32, which can't hold all values of "x" \(float64\): give --dtype float32/,
    );
    const { outcome, status, stderr } = await search("mlp.pt", "fine.npz", "--dtype", "float32");
    expect(status, stderr).toBe(0);
    expect(-outcome.score.before).toBeCloseTo(expected.rounded, 5);
    const tuned = await torchsearch(
      folder,
      ...[
        "finetune",
        "mlp.pt",
        "--data",
        "fine.npz",
        "--dtype",
        "float32",
        "--epochs",
        "1",
        "--output",
        "tuned.pt",
      ],
    );
    expect(tuned.status, tuned.stderr).toBe(0);
  });
});

describe("arguments by name", { timeout: 60_000 }, () => {
  it("are the arrays of the same names, in whatever order; optional labels stay targets", async () => {
    const { outcome, status, stderr } = await search("tokens.pt", "tokens.npz");
    expect(status, stderr).toBe(0);
    expect(-outcome.score.before).toBeCloseTo(expected.tokens, 5);
    const named = [
      "--input-array",
      "token_type_ids",
      "attention_mask",
      "input_ids",
      "--target-array",
      "labels",
    ];
    const other = await search("tokens.pt", "tokens.npz", ...named);
    expect(-other.outcome.score.before).toBeCloseTo(expected.tokens, 5);
  });

  it("may be numbers, in a search and a profile", async () => {
    const { outcome, status, stderr } = await search("tokens.pt", "masked.npz", "--input", "rate=3");
    expect(status, stderr).toBe(0);
    expect(-outcome.score.before).toBeCloseTo(expected.rate3, 5);
    const wrong = await search("tokens.pt", "masked.npz", "--input", "rate=1x3");
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toContain('"1x3" is no value for rate, which is of type int');
    const inputs = ["input_ids=1x5:int64", "attention_mask=1x5:int64", "rate=3"];
    const profiled = await torchsearch(folder, "profile", "tokens.pt", "--input", ...inputs, "--no-latency");
    expect(profiled.status, profiled.stderr).toBe(0);
  });
});

describe("float targets whose rows sum to 1", { timeout: 60_000 }, () => {
  const finetune = (data: string, ...args: string[]): Promise<Ended> =>
    torchsearch(
      folder,
      "finetune",
      "mlp.pt",
      "--data",
      data,
      "--epochs",
      "1",
      "--output",
      "tuned.pt",
      ...args,
    );

  it("are labels where they are one-hot, which is said", async () => {
    const { outcome, status, stderr } = await search("mlp.pt", "hot.npz");
    expect(status, stderr).toBe(0);
    expect(stderr).toContain('The rows of the targets "y" are one-hot: they are taken as class labels');
    expect(outcome.score.name).toBe("crossEntropy");
    expect(-outcome.score.before).toBeCloseTo(expected.plain, 5);
    expect(outcome.accuracy).not.toBeNull();
    expect((await finetune("hot.npz")).stderr).toContain("loss: crossEntropy");
  });

  it("are values on demand", async () => {
    const { outcome, stderr } = await search("mlp.pt", "hot.npz", "--score", "meanSquaredError");
    expect(-outcome.score.before).toBeCloseTo(expected.values, 5);
    expect(stderr).not.toContain("one-hot");
    expect((await finetune("hot.npz", "--loss", "meanSquaredError")).stderr).toContain(
      "loss: meanSquaredError",
    );
  });

  it("are probabilities for the score, and refused by what needs labels", async () => {
    const { outcome, status, stderr } = await search("mlp.pt", "soft.npz");
    expect(status, stderr).toBe(0);
    expect(stderr).toContain("class probabilities");
    expect(-outcome.score.before).toBeCloseTo(expected.soft, 5);
    for (const args of [
      ["--searcher", "gradient"],
      ["--importance", "taylor"],
    ]) {
      const refused = await search("mlp.pt", "soft.npz", ...args);
      expect(refused.status).toBe(2);
      expect(refused.stderr).toContain("Gradients need class labels");
    }
    const trained = await finetune("soft.npz");
    expect(trained.status).toBe(2);
    expect(trained.stderr).toContain("Training takes class labels");
  });

  it("aren't mixed with the scores of a version that took them for values", async () => {
    const { outcome } = await search("mlp.pt", "hot.npz");
    const checkpoint = (await readCheckpoint(outcome.checkpoint))!;
    (checkpoint.settings.annotations as { score: { name: string } }).score.name = "mse";
    await writeCheckpoint(outcome.checkpoint, checkpoint);
    const resumed = await torchsearch(folder, "resume", outcome.checkpoint);
    expect(resumed.status).toBe(1);
    expect(resumed.stderr).toContain(
      "holds scores by meanSquaredError, and now candidates are rated by crossEntropy",
    );
  });
});

describe("signatures", () => {
  it("are read with types, defaults and nesting", () => {
    const text =
      "forward(x: Tensor, pair: Tuple[Tensor, int] = (1, 2), mask: Optional[Tensor] = None, scale: float = 1.) -> Dict(str, Tensor)";
    expect(argumentsOf(text)).toEqual([
      { name: "x", type: "Tensor", optional: false },
      { name: "pair", type: "Tuple[Tensor, int]", optional: true },
      { name: "mask", type: "Optional[Tensor]", optional: true },
      { name: "scale", type: "float", optional: true },
    ]);
    expect(parseInputs(["2x3", "scale=0.5", "mask=2x3:bool"], text)).toEqual({
      specs: [
        { keyword: null, shape: [2, 3], dtype: "float32" },
        { keyword: "mask", shape: [2, 3], dtype: "bool" },
      ],
      numbers: [{ keyword: "scale", value: 0.5 }],
    });
    expect(() => parseInputs(["scale=big"], text)).toThrow("is no value for scale");
  });
});
