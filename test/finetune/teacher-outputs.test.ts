/** Learning all outputs of a teacher: losses and scores are PyTorch's own, computed from the formulas in docs/finetune.md. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { finetune, Module, Tensor, TensorDataLoader } from "../../lib";
import { teacherDistance } from "../../lib/evaluation/scores";
import { type TeacherView, viewTeacher } from "../../lib/evaluation/teacher-view";
import { python } from "../data/python";
import { expectCode } from "../support/tensors";

// A network of tokens with a mask: a probability for each token, its features, the sentence's distribution and logits.
const SCRIPT = `
import json, sys
import torch, torch.nn.functional as F
from typing import Dict
from torch import nn

folder, steps, rate = sys.argv[1], 4, 0.05

class Tokens(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.up = nn.Linear(8, width)
        self.down = nn.Linear(width, 8)
        self.chance = nn.Linear(8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, tokens: torch.Tensor, attention_mask: torch.Tensor) -> Dict[str, torch.Tensor]:
        x = self.words(tokens)
        x = x + self.down(torch.tanh(self.up(x)))
        whole = (x * attention_mask.unsqueeze(-1)).sum(1) / attention_mask.sum(1, keepdim=True)
        logits = self.head(whole)
        return {
            "chances": torch.sigmoid(self.chance(x)),
            "features": x,
            "shares": torch.softmax(logits, 1),
            "logits": 3 * logits,
        }

torch.manual_seed(0)
teacher, student = Tokens(12).eval(), Tokens(6).eval()
tokens = torch.randint(0, 20, (8, 7))
lengths = torch.randint(2, 8, (8, 1))
mask = (torch.arange(7)[None] < lengths).long()
for name, model in (("teacher", teacher), ("student", student)):
    torch.jit.save(torch.jit.script(model), f"{folder}/{name}.pt")

def inside(p):
    return p * (1 - 2e-6) + 1e-6

def divergence(p, q):
    return (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum()

def distance(own, truth, temperature):
    keep = mask.bool()
    p, q = inside(truth["chances"][keep]), inside(own["chances"][keep])
    chances = divergence(p, q) / divergence(p, p.mean(0, keepdim=True).expand_as(p))
    wanted, given = truth["features"][keep], own["features"][keep]
    features = ((wanted - given) ** 2).mean() / ((wanted - wanted.mean()) ** 2).mean()
    p, q = inside(truth["shares"]), inside(own["shares"])
    shares = (p * (p / q).log()).sum() / len(p)
    p, q = (F.log_softmax(each["logits"] / temperature, 1) for each in (truth, own))
    logits = temperature ** 2 * (p.exp() * (p - q)).sum() / len(p)
    return (chances + features + shares + logits) / 4

with torch.no_grad():
    truth = teacher(tokens, mask)
    score = -float(distance(student(tokens, mask), truth, 1))
losses = []
optimizer = torch.optim.SGD(student.parameters(), rate)
for _ in range(steps):
    optimizer.zero_grad()
    loss = distance(student(tokens, mask), truth, 4)
    loss.backward()
    optimizer.step()
    losses.append(float(loss))
print(json.dumps({"tokens": tokens.flatten().tolist(), "mask": mask.flatten().tolist(), "score": score, "losses": losses}))
`;

const VIEW: TeacherView = { kinds: ["probabilities", "features", "distribution", "logits"], mask: 1 };
let folder: string;
let expected: { tokens: number[]; mask: number[]; score: number; losses: number[] };
let tokens: Tensor;
let mask: Tensor;
let data: TensorDataLoader;
let teacher: Module;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-teacher-"));
  // TorchScript reads the source of a class from its file.
  const script = path.join(folder, "make.py");
  writeFileSync(script, SCRIPT);
  expected = JSON.parse(execFileSync(python, ["-W", "ignore", script, folder], { encoding: "utf8" }));
  tokens = Tensor.from(expected.tokens.map(BigInt), [8, 7], { dtype: "int64" });
  mask = Tensor.from(expected.mask.map(BigInt), [8, 7], { dtype: "int64" });
  data = TensorDataLoader.fromTensors([tokens, mask], { batchSize: 8 });
  teacher = await Module.load(path.join(folder, "teacher.pt"));
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

const student = () => Module.load(path.join(folder, "student.pt"));
const collectFunc = (batch: unknown) => Object.values(batch as Tensor[]);

describe("learning all outputs of a teacher", { timeout: 120_000 }, () => {
  it("has PyTorch's losses, step by step, of probabilities, features, distributions and logits", async () => {
    const module = await student();
    const losses: number[] = [];
    await finetune(module, data, {
      steps: expected.losses.length,
      optimizer: "sgd",
      learningRate: 0.05,
      momentum: 0,
      weightDecay: 0,
      schedule: "constant",
      shuffle: false,
      teacher,
      alpha: 1,
      teacherOutputs: VIEW,
      collectFunc,
      onProgress: ({ details }) => losses.push((details as { loss: number }).loss),
    });
    expect(losses.length).toBe(expected.losses.length);
    for (const [at, loss] of losses.entries()) expect(loss).toBeCloseTo(expected.losses[at] as number, 4);
  });

  it("scores likewise, and gives the teacher itself the best score", async () => {
    const score = teacherDistance(data, teacher, VIEW, { collectFunc });
    expect(await score(await student())).toBeCloseTo(expected.score, 5);
    expect(await score(teacher)).toBeCloseTo(0, 6);
  });

  it("sees what outputs are, and finds the mask by its name", async () => {
    const view = await viewTeacher(teacher, { args: [tokens, mask], kwargs: {} }, "auto", null);
    expect(view).toEqual({ kinds: ["probabilities", "features", "distribution", "features"], mask: 1 });
    const named = await viewTeacher(
      teacher,
      { args: [tokens], kwargs: { attention_mask: mask } },
      "features",
      null,
    );
    expect(named).toEqual({ kinds: Array(4).fill("features"), mask: "attention_mask" });
  });

  it("refuses outputs that don't go together, and options without a teacher", async () => {
    const short = { ...VIEW, kinds: VIEW.kinds.slice(1) };
    const options = { steps: 1, teacher, alpha: 1, collectFunc } as const;
    await expectCode("ERR_SCORE_INPUT", async () =>
      finetune(await student(), data, { ...options, teacherOutputs: short }),
    );
    await expectCode("ERR_CONFIG_VALUE", async () =>
      finetune(await student(), data, { steps: 1, teacherOutputs: VIEW }),
    );
    const odd = { ...VIEW, kinds: ["colours"] } as unknown as TeacherView;
    await expectCode("ERR_CONFIG_VALUE", async () =>
      finetune(await student(), data, { ...options, teacherOutputs: odd }),
    );
  });
});
