/**
 * One model as each PyTorch from 2.9 to 2.14 exports it. The files of test/fixtures/exported/versions were made with
 * these versions by `exported_programs.py --bare across` and packed by gzip; their outputs agree to the last bit.
 */
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, Module, profile, type SearchSpace } from "../../lib";
import { at, bitsOf, caseOf, expectClose, scratch } from "../support/exported";
import { describeRuns, passed, verdictsOf } from "../support/exported-verdict";

const folder = path.join(__dirname, "..", "fixtures", "exported", "versions");
const VERSIONS = readdirSync(folder)
  .filter((name) => name.endsWith(".pt2.gz"))
  .map((name) => name.slice(0, -".pt2.gz".length));

afterAll(() => rmSync(scratch, { recursive: true }));
beforeAll(() => {
  for (const version of VERSIONS)
    writeFileSync(at(`${version}.pt2`), gunzipSync(readFileSync(path.join(folder, `${version}.pt2.gz`))));
  for (const name of ["across.json", "across.safetensors"]) copyFileSync(path.join(folder, name), at(name));
});

describe("exported programs of each PyTorch", () => {
  it("are of each minor version from 2.9 to 2.14", () => {
    expect(VERSIONS.sort()).toEqual(["2.10", "2.11", "2.12", "2.13", "2.14", "2.9"]);
    for (const version of VERSIONS) {
      const text = readFileSync(at(`${version}.pt2`)).toString("latin1");
      expect(text).toMatch(new RegExp(`"torch_version":"${version.replace(".", "\\.")}\\.`));
    }
  });

  it.each(VERSIONS)("is read, run, narrowed and written: %s", { timeout: 300_000 }, async (version) => {
    const { sets } = await caseOf("across");
    using module = await Module.load(at(`${version}.pt2`));
    for (const { args, kwargs, outputs } of sets) {
      expect(outputs.length).toBeGreaterThan(0);
      expectClose(await module.forwardWith(args, kwargs), outputs[0], 1e-6);
    }
    const dummy = [...(sets[0]?.args ?? []), sets[0]?.kwargs ?? {}] as never;
    using space = (await convert(module, "fastnas", dummy, { channelDivisor: 2 })) as SearchSpace;
    space.select(space.smallestConfig);
    using subnet = await space.export();
    const [small, full] = [await profile(subnet, dummy), await profile(module, dummy)];
    expect(small.params).toBeLessThan(full.params);
    expect(small.params).toBe(space.costs(space.active).params);
    await subnet.save(at(`${version}_small.pt2`));
    using again = await Module.load(at(`${version}_small.pt2`));
    for (const { args, kwargs } of sets)
      expect(bitsOf(await again.forwardWith(args, kwargs))).toEqual(
        bitsOf(await subnet.forwardWith(args, kwargs)),
      );
    await describeRuns(`${version}_small`, at(`${version}_small.pt2`), sets);
  });

  it("gives programs that today's PyTorch runs, decomposes and trains", { timeout: 600_000 }, async () => {
    const verdicts = await verdictsOf(VERSIONS.map((version) => `${version}_small`));
    expect(Object.keys(verdicts)).toHaveLength(VERSIONS.length);
    for (const [name, verdict] of Object.entries(verdicts))
      expect(verdict.steps, name).toEqual(passed(verdict));
  });
});
