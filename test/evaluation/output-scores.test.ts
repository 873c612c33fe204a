/** Scores of outputs in unusual forms: dictionaries, classes in the last dimension, one column, probabilities. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DataSource } from "../../lib/data/data-source";
import { TensorDataLoader } from "../../lib/data/tensor-loader";
import { crossEntropy, klDivergence, meanSquaredError, topKAccuracy } from "../../lib/evaluation/scores";
import type { ScoreFunction } from "../../lib/evaluation/types";
import { convert } from "../../lib/mode/convert";
import { search } from "../../lib/mode/search";
import { Module } from "../../lib/model/module";
import type { Tensor } from "../../lib/model/tensor";
import { runPython } from "../data/python";

const code = (value: string): Error => expect.objectContaining({ code: value }) as Error;

interface Expected {
  languageLoss: number;
  languageTop2: number;
  secondLoss: number;
  languageKl: number;
  dictionaryLoss: number;
  dictionaryMse: number;
  columnMse: number;
  soft: number;
}

let folder: string;
let expected: Expected;
const models: Record<string, Module> = {};
const data: Record<string, TensorDataLoader> = {};

/** Models whose outputs are functions of the input alone, and PyTorch's scores of them. */
const SCRIPT = `
import sys, json, torch, numpy as np
import torch.nn.functional as F
from typing import Dict
folder = sys.argv[1]
torch.manual_seed(3)
class Language(torch.nn.Module):
    def __init__(self, tokens: int, words: int):
        super().__init__(); self.table = torch.nn.Embedding(7, words)
    def forward(self, x): return self.table(x)
class Heads(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.a = torch.nn.Linear(6, 4); self.b = torch.nn.Linear(6, 3)
    def forward(self, x) -> Dict[str, torch.Tensor]:
        return {"index": self.b(x).argmax(1), "main": self.b(x), "aux": self.a(x)}
class Column(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.a = torch.nn.Linear(6, 1)
    def forward(self, x): return self.a(x)
models = {"language": Language(5, 11), "other": Language(5, 11), "square": Language(5, 5), "heads": Heads(), "column": Column(), "column2": Column()}
tokens = torch.randint(0, 7, (9, 5)); words = torch.randint(0, 11, (9, 5)); words[0, :3] = -100
x = torch.randn(9, 6); labels = torch.randint(0, 3, (9,)); soft = torch.rand(9, 3).softmax(1)
for name, m in models.items():
    example = tokens if isinstance(m, Language) else x
    models[name] = torch.jit.trace(m.eval(), example, strict=False)
    torch.jit.save(models[name], f"{folder}/{name}.pt")
np.savez(f"{folder}/language.npz", x=tokens.numpy(), y=words.numpy())
np.savez(f"{folder}/positions.npz", x=tokens.numpy(), y=torch.randint(0, 5, (9, 11)).numpy())
np.savez(f"{folder}/square.npz", x=tokens.numpy(), y=torch.randint(0, 5, (9, 5)).numpy())
np.savez(f"{folder}/ignored.npz", x=x.numpy(), y=np.full(9, -100))
np.savez(f"{folder}/labels.npz", x=x.numpy(), y=labels.numpy())
np.savez(f"{folder}/soft.npz", x=x.numpy(), y=soft.numpy())
np.savez(f"{folder}/values.npz", x=x.numpy(), y=torch.arange(36.).reshape(9, 4).numpy())
positions = torch.from_numpy(np.load(f"{folder}/positions.npz")["y"])
with torch.no_grad():
    out = models["language"](tokens).double(); other = models["other"](tokens).double()
    heads = models["heads"](x); one = models["column"](x).double(); two = models["column2"](x).double()
    print(json.dumps({
      "languageLoss": F.cross_entropy(out.reshape(-1, 11), words.reshape(-1)).item(),
      "languageTop2": ((out.topk(2, -1).indices == words[..., None]).any(-1)).double().mean().item(),
      "secondLoss": F.cross_entropy(out, positions).item(),
      "languageKl": F.kl_div(out.log_softmax(-1), other.log_softmax(-1), reduction="batchmean", log_target=True).item(),
      "dictionaryLoss": F.cross_entropy(heads["main"].double(), labels).item(),
      "dictionaryMse": F.mse_loss(heads["aux"].double(), torch.arange(36.).reshape(9, 4).double()).item(),
      "columnMse": F.mse_loss(one, two).item(),
      "soft": F.cross_entropy(heads["main"].double(), soft.double()).item(),
    }))
`;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-outputs-"));
  expected = runPython<Expected>(SCRIPT, folder);
  for (const name of ["language", "other", "square", "heads", "column", "column2"])
    models[name] = await Module.load(path.join(folder, `${name}.pt`));
  for (const name of ["language", "positions", "square", "ignored", "labels", "soft", "values"])
    data[name] = await TensorDataLoader.fromNpz(path.join(folder, `${name}.npz`), {
      batchSize: 4,
      keys: ["x", "y"],
    });
}, 60_000);

afterAll(() => {
  for (const each of [...Object.values(models), ...Object.values(data)]) each.close();
  rmSync(folder, { recursive: true });
});

/** The same batches by way of JavaScript. */
const through = (source: TensorDataLoader): DataSource => ({
  [Symbol.iterator]: () => source[Symbol.iterator](),
});

async function scores(
  model: string,
  source: string,
  make: (data: DataSource) => ScoreFunction,
): Promise<number[]> {
  const both: number[] = [];
  for (const each of [data[source]!, through(data[source]!)]) both.push(await make(each)(models[model]!));
  return both;
}

async function expectScore(
  value: number,
  model: string,
  source: string,
  make: (data: DataSource) => ScoreFunction,
): Promise<void> {
  for (const each of await scores(model, source, make)) expect(each).toBeCloseTo(value, 6);
}

describe("logits of tokens", () => {
  it("have their classes where the shapes say", async () => {
    await expectScore(-expected.languageLoss, "language", "language", (each) => crossEntropy(each));
    await expectScore(expected.languageTop2, "language", "language", (each) => topKAccuracy(each, { k: 2 }));
    await expectScore(-expected.secondLoss, "language", "positions", (each) => crossEntropy(each));
  });

  it("are refused where both fit, until the dimension is named", async () => {
    await expect(scores("square", "square", (each) => crossEntropy(each))).rejects.toThrow(
      /fit both.*classDimension/s,
    );
    const [last] = await scores("square", "square", (each) => crossEntropy(each, { classDimension: "last" }));
    const [second] = await scores("square", "square", (each) =>
      crossEntropy(each, { classDimension: "second" }),
    );
    expect(last).not.toBeCloseTo(second!, 3);
    await expect(
      scores("language", "language", (each) => crossEntropy(each, { classDimension: "second" })),
    ).rejects.toThrow(code("ERR_SCORE_INPUT"));
  });

  it("are compared over the last dimension on demand, and the other choice is said", async () => {
    await expectScore(-expected.languageKl, "language", "language", (each) =>
      klDivergence(each, models.other!, { classDimension: "last" }),
    );
    const said: string[] = [];
    await klDivergence(data.language!, models.other!, { onNotice: (line) => said.push(line) })(
      models.language!,
    );
    expect(said).toEqual([expect.stringMatching(/\[4, 5, 11\].*second dimension/)]);
  });
});

describe("dictionaries", () => {
  it("are scored by their first floating tensor, which is said, or by the one that is named", async () => {
    const said: string[] = [];
    const onNotice = (line: string): number => said.push(line);
    await expectScore(-expected.dictionaryLoss, "heads", "labels", (each) =>
      crossEntropy(each, { onNotice }),
    );
    expect(said).toHaveLength(2); // once a score
    expect(said[0]).toMatch(/index, main, aux; "main", the first floating one/);
    await expectScore(-expected.dictionaryMse, "heads", "values", (each) =>
      meanSquaredError(each, { outputKey: "aux" }),
    );
    expect(said).toHaveLength(2);
  });

  it("name their tensors where the key is none of them", async () => {
    await expect(
      scores("heads", "labels", (each) => crossEntropy(each, { outputKey: "logits" })),
    ).rejects.toThrow(/no tensor "logits"; it has index, main, aux/);
    await expect(
      scores("heads", "labels", (each) => crossEntropy(each, { outputKey: "index" })),
    ).rejects.toThrow(code("ERR_SCORE_INPUT"));
  });
});

describe("one column", () => {
  it("has no divergence: it is refused, and the squared error from a teacher does", async () => {
    await expect(scores("column", "labels", (each) => klDivergence(each, models.column2!))).rejects.toThrow(
      /\[4, 1\].*always 1.*meanSquaredError/s,
    );
    await expectScore(-expected.columnMse, "column", "labels", (each) =>
      meanSquaredError(each, { teacher: models.column2! }),
    );
  });
});

describe("number formats of one column", () => {
  it("have no divergence either", async () => {
    const { x } = data.labels!.batch(0) as Record<string, Tensor>;
    const space = await convert(models.column!, "auto_quantize", [x!]);
    const run = (sensitivity: "klDivergence" | "meanSquaredError") =>
      search(space, { effectiveBits: 16 }, [x!], {
        sensitivity,
        dataLoader: data.labels!,
        maxIterDataLoader: 1,
      });
    await expect(run("klDivergence")).rejects.toThrow(/one column.*meanSquaredError/s);
    await run("meanSquaredError");
    space.close();
  });
});

describe("targets", () => {
  it("may be class probabilities, which is said", async () => {
    const said: string[] = [];
    const options = { outputKey: "main", onNotice: (line: string) => said.push(line) };
    await expectScore(-expected.soft, "heads", "soft", (each) => crossEntropy(each, options));
    expect(said[0]).toContain("class probabilities");
    await expect(
      scores("heads", "values", (each) => crossEntropy(each, { outputKey: "aux" })),
    ).rejects.toThrow(code("ERR_SCORE_INPUT"));
  });

  it("that are all left out are said to be", async () => {
    for (const outputKey of ["main", null])
      await expect(
        scores("heads", "ignored", (each) => crossEntropy(each, { outputKey, onNotice: () => {} })),
      ).rejects.toThrow(/All targets are -100/);
  });
});
