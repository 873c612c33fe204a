/** Sizes that are tied to each other: an exported program is taken at those at which Python takes it, and at no other. */
import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, type Input, Module, type SearchSpace, Tensor } from "../../lib";
import { at, bitsOf, scratch } from "../support/exported";
import { passed, type Run, verdictOf } from "../support/exported-verdict";
import { expectCode } from "../support/tensors";
import { python, root } from "../support/zoo";

interface Case {
  sizes: number[][];
  outputs: number[] | null;
}

const NAMES = ["paired", "folded", "guarded", "masked", "picked"] as const;

afterAll(() => rmSync(scratch, { recursive: true }));
beforeAll(async () => {
  await promisify(execFile)(python, [path.join(root, "scripts", "fixtures", "exported_sizes.py"), scratch]);
}, 300_000);

const casesOf = (name: string) => JSON.parse(readFileSync(at(`${name}.sizes.json`), "utf8")) as Case[];

function argumentsOf(name: string, sizes: number[][]): Input[] {
  const tensors = sizes.map((shape) => {
    const count = shape.reduce((a, b) => a * b, 1);
    return Tensor.from(
      Float32Array.from({ length: count }, (_, i) => Math.sin(i)),
      shape,
    );
  });
  const [x, y, z] = tensors as [Tensor, Tensor, Tensor];
  return name === "guarded" ? [x, { y, z: [z] }] : tensors;
}

/** Sums over rows, as exported_sizes.py has them. */
function sumsOf(output: unknown): number[] {
  const { shape } = output as Tensor;
  const width = shape.at(-1) as number;
  const data = Array.from((output as Tensor).data() as Float32Array);
  return Array.from({ length: data.length / width }, (_, row) =>
    data.slice(row * width, (row + 1) * width).reduce((a, b) => a + b, 0),
  );
}

async function expectSameSizes(name: string, module: Module, close: boolean): Promise<void> {
  const cases = casesOf(name);
  expect(cases.filter(({ outputs }) => outputs !== null).length).toBeGreaterThan(5);
  for (const { sizes, outputs } of cases) {
    const args = argumentsOf(name, sizes);
    if (outputs === null) {
      const { message } = await expectCode("ERR_INPUT", () => module.forwardWith(args, {}));
      expect(message).toMatch(/export/);
      continue;
    }
    const sums = sumsOf(await module.forwardWith(args, {}));
    expect(sums).toHaveLength(outputs.length);
    for (const [i, sum] of sums.entries())
      if (close) expect(Math.abs(sum - (outputs[i] as number))).toBeLessThan(1e-4);
  }
}

describe("sizes of exported programs that are tied to each other", () => {
  it.each(NAMES)("are taken where Python takes them: %s", { timeout: 120_000 }, async (name) => {
    using module = await Module.load(at(`${name}.pt2`));
    await expectSameSizes(name, module, true);
    // A copy in another format knows them too.
    await module.save(at(`${name}.pt`));
    using scripted = await Module.load(at(`${name}.pt`));
    await expectSameSizes(name, scripted, true);
  });

  it.each(NAMES)("are in the program of a subnet: %s", { timeout: 300_000 }, async (name) => {
    using module = await Module.load(at(`${name}.pt2`));
    const sets: Run[] = casesOf(name)
      .filter(({ outputs }) => outputs !== null)
      .map(({ sizes }) => ({ args: argumentsOf(name, sizes), kwargs: {} }));
    using space = (await convert(module, "fastnas", [...(sets.at(-1)?.args ?? []), {}] as never, {
      channelDivisor: 2,
    })) as SearchSpace;
    space.select(space.smallestConfig);
    using subnet = await space.export();
    await subnet.save(at(`${name}_small.pt2`));
    await subnet.save(at(`${name}_small.pt`));
    using again = await Module.load(at(`${name}_small.pt2`));
    using scripted = await Module.load(at(`${name}_small.pt`));
    for (const { args } of sets)
      expect(bitsOf(await again.forwardWith(args, {}))).toEqual(bitsOf(await scripted.forwardWith(args, {})));
    await expectSameSizes(name, again, false);
    const verdict = await verdictOf(`${name}_small`, at(`${name}_small.pt`), sets);
    expect(verdict.steps).toEqual(passed(verdict));
  });

  it("are named by the error", async () => {
    using guarded = await Module.load(at("guarded.pt2"));
    const sum = await expectCode("ERR_INPUT", () =>
      guarded.forwardWith(
        argumentsOf("guarded", [
          [4, 4],
          [4, 6],
          [4, 6],
        ]),
        {},
      ),
    );
    expect(sum.message).toMatch(/rest\['z'\]\[0\]\.size\(\)\[0\].*% 3\) == 1/);
    using folded = await Module.load(at("folded.pt2"));
    const rest = await expectCode("ERR_INPUT", () =>
      folded.forwardWith(argumentsOf("folded", [[2, 10, 4]]), {}),
    );
    expect(rest.message).toMatch(/Dimension 1 of the input x is 10.*4 n \+ 0 for a whole n/);
    const far = await expectCode("ERR_INPUT", () =>
      folded.forwardWith(argumentsOf("folded", [[2, 28, 4]]), {}),
    );
    expect(far.message).toMatch(/Dimension 1 of the input x is 28.*n of 0 to 6/);
    using paired = await Module.load(at("paired.pt2"));
    const pair = await expectCode("ERR_INPUT", () =>
      paired.forwardWith(
        argumentsOf("paired", [
          [2, 4, 4],
          [2, 7, 4],
        ]),
        {},
      ),
    );
    expect(pair.message).toMatch(/2 n \+ 1, where n is 4, Dimension 1 of the input x/);
  });
});
