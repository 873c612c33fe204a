/** Models with several outputs, and with classes in the last dimension: what is scored is what is trained. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { FinetuneOutcome } from "../../lib/cli/finetune-run";
import type { SearchOutcome } from "../../lib/cli/search-types";
import { runPython } from "../data/python";
import { torchsearch } from "./command";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-output-key-"));
  // A file: torch.jit.script reads sources.
  const script = path.join(folder, "make.py");
  writeFileSync(
    script,
    `
import sys, torch, numpy as np
from typing import Dict
from torch import nn
folder = sys.argv[1]
torch.manual_seed(3)
class Heads(nn.Module):
    def __init__(self):
        super().__init__(); self.body = nn.Linear(8, 32); self.a = nn.Linear(32, 5); self.b = nn.Linear(32, 4)
    def forward(self, x) -> Dict[str, Dict[str, torch.Tensor]]:
        h = self.body(x).relu()
        return {"heads": {"aux": self.a(h), "main": self.b(h)}}
class Tokens(nn.Module):
    def __init__(self):
        super().__init__(); self.e = nn.Embedding(12, 16); self.body = nn.Linear(16, 32); self.b = nn.Linear(32, 12)
    def forward(self, x): return self.b(self.body(self.e(x)).relu())
def fit(model, x, y, pick):
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(120):
        optimizer.zero_grad(); nn.functional.cross_entropy(pick(model(x)), y).backward(); optimizer.step()
    torch.jit.script(model.eval()).save(f"{folder}/{type(model).__name__.lower()}.pt")
    np.savez(f"{folder}/{type(model).__name__.lower()}.npz", x=x.numpy(), y=y.numpy())
x = torch.randn(256, 8)
fit(Heads(), x, (x @ torch.randn(8, 4)).argmax(1), lambda o: o["heads"]["main"])
t = torch.randint(0, 12, (128, 7))
fit(Tokens(), t, (t * 5 + 1) % 12, lambda o: o.transpose(1, 2))
from pathlib import Path
from PIL import Image
class Colours(nn.Module):
    def __init__(self): super().__init__(); self.body = nn.Conv2d(3, 32, 3); self.b = nn.Linear(32, 4)
    def forward(self, x): return self.b(self.body(x).relu().mean([2, 3]))
shades = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
images, labels = [], []
for name, shade in shades.items():
    (Path(folder) / "pictures" / name).mkdir(parents=True)
    for i in range(12):
        pixels = np.clip(np.array(shade) + np.random.default_rng(i).integers(-80, 80, (16, 16, 3)), 0, 255).astype("u1")
        Image.fromarray(pixels).save(f"{folder}/pictures/{name}/{i}.png")
        images.append((pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]); labels.append(["red", "none", "green", "blue"].index(name))
Path(f"{folder}/four names.txt").write_text("red\\nnone\\ngreen\\nblue\\n")
fit(Colours(), torch.tensor(np.stack(images).transpose(0, 3, 1, 2), dtype=torch.float32), torch.tensor(labels), lambda o: o)
`,
  );
  runPython('import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name="__main__")', script, folder);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

const MODELS = [
  { model: "heads", pick: 'o["heads"]["main"]', args: ["--output-key", "heads.main"] },
  { model: "tokens", pick: "o.transpose(1, 2)", args: [] },
];

describe.each(MODELS)("$model", ({ model, pick, args }) => {
  const data = ["--data", `${model}.npz`, "--batch-size", "16"];

  it("is trained by the command that its search prints, as it stands", async () => {
    const files = ["--output", `${model}.sub.pt`, "--checkpoint", `${model}.search.safetensors`];
    const bound = ["--constraint", "flops=55%", "--importance", "random", "--holdout", "25%"];
    const run = await torchsearch(folder, "search", `${model}.pt`, ...data, ...files, ...bound, ...args);
    expect(run.status, run.stderr).toBe(0);
    const printed = /^ {2}(.* finetune .*)$/m.exec(run.stdout)?.[1] as string;
    expect(printed, run.stdout).toBeDefined();
    const outcome = JSON.parse(
      execFileSync("bash", ["-c", `${printed} --json 2>/dev/null`], { cwd: folder, encoding: "utf8" }),
    ) as FinetuneOutcome;
    expect(outcome.score?.after).toBeGreaterThanOrEqual(outcome.score?.before as number);
    const losses = outcome.epochs.map(({ loss }) => loss);
    expect(losses).toHaveLength(3);
    expect(losses[2]).toBeLessThan(losses[0] as number);
  }, 120_000);

  it("has the loss of PyTorch in its first step", async () => {
    const steps = ["--steps", "1", "--no-shuffle", "--lr", "1e-9", "--output", `${model}.tuned.pt`, "--json"];
    const run = await torchsearch(folder, "finetune", `${model}.pt`, ...data, ...steps, ...args);
    const { epochs } = JSON.parse(run.stdout) as FinetuneOutcome;
    const loss = runPython<number>(
      `
import sys, torch, numpy as np, json
folder, name = sys.argv[1:3]
d = np.load(f"{folder}/{name}.npz"); o = torch.jit.load(f"{folder}/{name}.pt")(torch.tensor(d["x"][:16]))
print(json.dumps(torch.nn.functional.cross_entropy(${pick}, torch.tensor(d["y"][:16])).item()))
`,
      folder,
      model,
    );
    expect(epochs[0]?.loss).toBeCloseTo(loss, 5);
  }, 120_000);

  it("is searched by gradients, ranked by taylor and quantized", async () => {
    const bound = ["--constraint", "flops=55%", "--json"];
    for (const how of [
      ["--searcher", "gradient", ...bound],
      ["--importance", "taylor", ...bound],
      ["--mode", "auto_quantize", "--constraint", "effectiveBits=6", "--json"],
    ]) {
      const files = ["--output", "other.pt", "--checkpoint", `${how[1]}.${model}.safetensors`];
      const run = await torchsearch(folder, "search", `${model}.pt`, ...data, ...files, ...how, ...args);
      expect(run.status, run.stderr).toBe(0);
      expect((JSON.parse(run.stdout) as SearchOutcome).met).toBe(true);
    }
  }, 180_000);
});

describe("a folder of images with classes of its own", () => {
  it("is trained by the printed command: classes, preparation and trust are in it", async () => {
    const images = ["--image-classes", "four names.txt", "--image-crop", "16", "--image-resize", "16"];
    const bound = ["--constraint", "flops=30%", "--importance", "random", "--no-verify"];
    const files = ["--data", "pictures", "--output", "colours.sub.pt"];
    const run = await torchsearch(folder, "search", "colours.pt", ...files, ...bound, ...images);
    const printed = /^ {2}(.* finetune .*)$/m.exec(run.stdout)?.[1] as string;
    expect(printed, run.stdout + run.stderr).toContain("--no-verify");
    const outcome = JSON.parse(
      execFileSync("bash", ["-c", `${printed} --json 2>/dev/null`], { cwd: folder, encoding: "utf8" }),
    ) as FinetuneOutcome;
    expect(outcome.epochs).toHaveLength(3);
    expect(readFileSync(path.join(folder, "colours.sub.classes.txt"), "utf8")).toBe(
      "red\nnone\ngreen\nblue\n",
    );
  }, 120_000);
});

describe("a dictionary whose entries say nothing", () => {
  it("is trained by its first floating tensor, said aloud", async () => {
    const files = ["--data", "heads.npz", "--steps", "1", "--output", "guess.pt", "--json"];
    const { stderr, status } = await torchsearch(folder, "finetune", "heads.pt", ...files);
    expect(status).toBe(0);
    expect(stderr).toContain('"heads.aux", the first floating one');
  }, 60_000);

  it("refuses a key that it doesn't have, and names those that it has", async () => {
    const files = [
      "--data",
      "heads.npz",
      "--steps",
      "1",
      "--output-key",
      "main",
      "--output",
      "none.pt",
      "--json",
    ];
    const { stdout } = await torchsearch(folder, "finetune", "heads.pt", ...files);
    expect(JSON.parse(stdout).error).toMatchObject({ code: "ERR_SCORE_INPUT" });
    expect(stdout).toContain("heads.aux, heads.main");
  }, 60_000);
});

describe("a supernet's printed search", () => {
  it("has the settings of its training", async () => {
    const train = ["--supernet", "--steps", "2", "--holdout", "25%", "--output-key", "heads.main"];
    const files = ["--data", "heads.npz", "--output", "super.pt", "--json"];
    const run = await torchsearch(folder, "finetune", "heads.pt", ...files, ...train);
    const { supernet } = JSON.parse(run.stdout) as FinetuneOutcome;
    const printed = `${supernet?.search} --json --output found.pt 2>/dev/null`;
    const text = execFileSync("bash", ["-c", printed], { cwd: folder, encoding: "utf8" });
    expect((JSON.parse(text) as SearchOutcome).heldOut?.samples).toBe(64);
    expect(readFileSync(path.join(folder, "found.pt")).length).toBeGreaterThan(0);
  }, 120_000);
});
