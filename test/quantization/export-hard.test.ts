/**
 * Every hard little model of test/fixtures/hard that has a layer to quantize, scripted and traced, in a mix of formats:
 * exported and judged by PyTorch alone. It must load, give the same numbers, keep its names, and train.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, type DType, Module, Tensor, TorchSearchError } from "../../lib";
import { tensorToRaw } from "../../lib/data/raw-tensor";
import { encodeSafetensors } from "../../lib/data/safetensors";
import { verifySubnets } from "../support/verify-subnets";
import { type Form, root } from "../support/zoo";

interface Case {
  files: Partial<Record<Form, string>>;
  trains: Partial<Record<Form, boolean>>;
  inputs: { shape: number[]; dtype: DType; data: number[] }[];
}

/** What can't be converted, and why. */
const REFUSED: Record<string, string> = {
  data_dependent_loop: "ERR_DATA_DEPENDENT",
  quantized: "ERR_NO_PARAMETERS",
};
/** Inputs that no file of arrays holds; outputs that are no numbers. */
const LEFT_OUT = new Set(["nested_input", "nan"]);
/** Largest difference relative to the outputs' magnitude. */
const TOLERANCE: Partial<Record<DType, number>> = { float64: 1e-9, float16: 5e-3, bfloat16: 4e-2 };

const folder = path.join(root, "test", "fixtures", "hard");
const { cases } = JSON.parse(readFileSync(path.join(folder, "index.json"), "utf8")) as {
  cases: Record<string, Case>;
};
const files = Object.entries(cases)
  .filter(([name]) => !LEFT_OUT.has(name))
  .flatMap(([name, { files }]) =>
    (Object.entries(files) as [Form, string][]).map(([form, file]) => ({ name, form, file })),
  );

interface Answer {
  id: string;
  error: string | null;
  maxRelDiff: number;
  gradsFinite: boolean | null;
  keysMissing: string[];
  keysUnexpected: string[];
}

let work: string;
let answers: Map<string, Answer>;
const failures = new Map<string, unknown>();

function tensorsOf(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(tensorsOf);
}

async function exportMixed(name: string, form: Form, file: string): Promise<Record<string, unknown>> {
  const { inputs: described, trains } = cases[name] as Case;
  const original = path.join(folder, file);
  const module = await Module.load(original);
  const inputs = described.map(({ shape, dtype, data }) =>
    Tensor.from(dtype === "int64" ? data.map(BigInt) : data, shape, { dtype }),
  );
  const formats = ["int8", "fp8", "int4_weight_only", "int4"] as const;
  const space = await convert(module, "auto_quantize", inputs, { formats });
  await space.calibrate([inputs], { collectFunc: (batch) => batch });
  space.select(
    Object.fromEntries(
      space.hyperparameters.map((group, at) => [group.name, group.choices[1 + (at % 4)] as string]),
    ),
  );
  const outputs = tensorsOf(await space.forward(...inputs));
  const exported = await space.export();
  const model = path.join(work, file);
  await exported.save(model);
  const tensors = path.join(work, `${file}.safetensors`);
  const named = [
    ...inputs.map((tensor, i) => [`input${i}`, tensorToRaw(tensor)] as const),
    ...outputs.map((tensor, i) => [`output${i}`, tensorToRaw(tensor)] as const),
  ];
  writeFileSync(tensors, Buffer.concat(encodeSafetensors(new Map(named))));
  for (const each of [exported, space, module]) each.close();
  const tolerance = TOLERANCE[described[0]?.dtype as DType] ?? 1e-5;
  return {
    id: file,
    model,
    inputs: tensors,
    expected: tensors,
    original,
    trainStep: trains[form] === true,
    tolerance,
  };
}

beforeAll(async () => {
  work = mkdtempSync(path.join(os.tmpdir(), "torchsearch-quantized-"));
  const requests: Record<string, unknown>[] = [];
  for (const { name, form, file } of files) {
    try {
      requests.push(await exportMixed(name, form, file));
    } catch (error) {
      failures.set(file, error);
    }
  }
  answers = verifySubnets(requests);
}, 600_000);
afterAll(() => rmSync(work, { recursive: true }));

describe("hard models, quantized", () => {
  it.each(files)("$file", ({ name, file }) => {
    const refused = REFUSED[name];
    if (refused !== undefined) {
      expect(failures.get(file)).toBeInstanceOf(TorchSearchError);
      expect((failures.get(file) as TorchSearchError).code).toBe(refused);
      return;
    }
    if (failures.has(file)) throw failures.get(file);
    const answer = answers.get(file) as Answer;
    const tolerance = TOLERANCE[(cases[name] as Case).inputs[0]?.dtype as DType] ?? 1e-5;
    // The names of scales and zero points are new, which the script does not expect.
    if (answer.keysUnexpected.length === 0) expect(answer.error).toBeNull();
    expect(answer.maxRelDiff).toBeLessThanOrEqual(tolerance);
    expect(answer.gradsFinite ?? true).toBe(true);
    expect(answer.keysMissing).toEqual([]);
    expect(answer.keysUnexpected.filter((key) => !key.startsWith("quantizers."))).toEqual([]);
  });
});
