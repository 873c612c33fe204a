/**
 * Every hard little model of test/fixtures/hard that converts, scripted and traced: all widths halved, exported, and judged
 * by PyTorch alone. It must load, equal the selected subnet, keep the names of its parameters, and train.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  convert,
  type DType,
  Module,
  type SearchSpace,
  type SubnetConfig,
  Tensor,
  TorchSearchError,
} from "../../lib";
import { tensorToRaw } from "../../lib/data/raw-tensor";
import { encodeSafetensors } from "../../lib/data/safetensors";
import { verifySubnets } from "../support/verify-subnets";
import { type Form, root } from "../support/zoo";

interface Described {
  shape: number[];
  dtype: DType;
  data: number[];
}
interface Case {
  files: Partial<Record<Form, string>>;
  trains: Partial<Record<Form, boolean>>;
  inputs: Described[];
}

/** What can't be converted, and why. */
const REFUSED: Record<string, string> = {
  data_dependent_loop: "ERR_DATA_DEPENDENT",
};
/** Left out: inputs that no file of arrays holds, weights that are no tensors one could narrow. */
const LEFT_OUT = new Set(["nested_input", "quantized", "nan"]);
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

let work: string;
let answers: Map<string, Record<string, unknown>>;
const failures = new Map<string, unknown>();
const narrowed = new Map<string, number>();

function tensorsOf(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(tensorsOf);
}

function inputsOf(name: string): Tensor[] {
  return (cases[name] as Case).inputs.map(({ shape, dtype, data }) =>
    Tensor.from(dtype === "int64" ? data.map(BigInt) : data, shape, { dtype }),
  );
}

function halves(space: SearchSpace): SubnetConfig {
  return Object.fromEntries(
    space.hyperparameters.map(({ name, kind, choices, full }) => {
      if (kind === "depth") return [name, full]; // test/space/depth.test.ts leaves blocks out
      const smaller = choices.filter((width) => width <= full / 2);
      return [name, smaller.at(-1) ?? (choices[0] as number)];
    }),
  );
}

/** Exports one file's subnet; gives what PyTorch is to be asked about it. */
async function exportHalf(name: string, form: Form, file: string): Promise<Record<string, unknown>> {
  const original = path.join(folder, file);
  const module = await Module.load(original);
  const inputs = inputsOf(name);
  const space = await convert(module, "fastnas", inputs, { channelDivisor: 1 });
  narrowed.set(file, space.hyperparameters.length);
  space.select(halves(space));
  const outputs = tensorsOf(await space.forward(...inputs));
  const subnet = await space.export();
  const saved = path.join(work, file);
  await subnet.save(saved);
  const tensors = path.join(work, `${file}.safetensors`);
  const named = [
    ...inputs.map((tensor, i) => [`input${i}`, tensorToRaw(tensor)] as const),
    ...outputs.map((tensor, i) => [`output${i}`, tensorToRaw(tensor)] as const),
  ];
  writeFileSync(tensors, Buffer.concat(encodeSafetensors(new Map(named))));
  subnet.close();
  space.close();
  module.close();
  const dtype = (cases[name] as Case).inputs[0]?.dtype as DType;
  return {
    id: file,
    model: saved,
    inputs: tensors,
    expected: tensors,
    original,
    trainStep: (cases[name] as Case).trains[form] === true,
    tolerance: TOLERANCE[dtype] ?? 1e-5,
  };
}

beforeAll(async () => {
  work = mkdtempSync(path.join(os.tmpdir(), "torchsearch-export-"));
  const requests: Record<string, unknown>[] = [];
  for (const { name, form, file } of files) {
    try {
      requests.push(await exportHalf(name, form, file));
    } catch (error) {
      failures.set(file, error);
    }
  }
  answers = verifySubnets<Record<string, unknown> & { id: string }>(requests);
}, 600_000);
afterAll(() => rmSync(work, { recursive: true }));

describe("hard models, exported at half of every width", () => {
  it.each(files)("$file", ({ name, file }) => {
    const refused = REFUSED[name];
    if (refused !== undefined) {
      expect(failures.get(file)).toBeInstanceOf(TorchSearchError);
      expect((failures.get(file) as TorchSearchError).code).toBe(refused);
      return;
    }
    if (failures.has(file)) throw failures.get(file);
    const answer = answers.get(file) as Record<string, unknown>;
    expect(answer.error).toBeNull();
    expect(answer.ok).toBe(true);
    expect(answer.keysMissing).toEqual([]);
    if ((narrowed.get(file) as number) > 0) {
      expect(answer.params as number).toBeLessThan(answer.originalParams as number);
    }
  });
});
