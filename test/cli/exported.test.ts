/** The command on an exported program, test/fixtures/exported/tiny.pt2 (scripts/fixtures/exported_programs.py). */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";

import { Module, Tensor } from "../../lib";
import { readZip, writeZip } from "../fuzz/zip";
import { fixture, torchsearch } from "./command";

/** Elements of two samples for test/fixtures/finetune/small.pt. */
const SAMPLE = 2 * 2 * 4 * 4;

const scratch = mkdtempSync(path.join(os.tmpdir(), "torchsearch-cli-exported-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const tiny = fixture("exported/tiny.pt2");

describe("the command on a .pt2 file", () => {
  it("takes the sample inputs of the export where there is no --input", async () => {
    const profiled = await torchsearch(scratch, "profile", tiny, "--json");
    expect(profiled.stderr).toBe("");
    const profile = JSON.parse(profiled.stdout) as { inputs: unknown; params: number; macs: number };
    expect(profile.inputs).toEqual([
      { keyword: null, shape: [3, 4], dtype: "float32" },
      { keyword: "mask", shape: [3], dtype: "bool" },
    ]);
    // Two linear layers and a batch norm: 4 * 6 + 6, 2 * 6, 6 * 3 + 3.
    expect(profile.params).toBe(63);
    // It has a torch.cond on a tensor's value: it runs, but which operators run is not known in advance.
    const found = await torchsearch(scratch, "prunable", tiny, "--json");
    expect(JSON.parse(found.stdout)).toMatchObject({ error: { code: "ERR_DATA_DEPENDENT" } });
  });

  it("takes other sizes within the ranges of the export, and the name of a program", async () => {
    const inputs = ["--input", "5x4", "--input", "mask=5:bool"];
    const { stdout, status } = await torchsearch(
      scratch,
      "profile",
      tiny,
      ...inputs,
      "--model",
      "model",
      "--json",
    );
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ params: 63 });
    const wrong = await torchsearch(scratch, "profile", tiny, "--input", "5x7", "--input", "mask=5:bool");
    expect(wrong.stderr).toMatch(/ERR_INPUT.*Dimension 1 of the input x is 7.*4 only/s);
    const other = await torchsearch(scratch, "profile", tiny, "--model", "other");
    expect(other.stderr).toMatch(/ERR_MODEL_NAME.*"model"/s);
  });

  it("asks for inputs where a file has none", async () => {
    const { stderr, status } = await torchsearch(scratch, "profile", fixture("digits_cnn.pt"));
    expect(status).toBe(2);
    expect(stderr).toMatch(/ERR_CLI_OPTION.*--input/s);
  });

  it("writes a subnet as .pt2", { timeout: 120_000 }, async () => {
    writeFileSync(path.join(scratch, "widths.json"), "{}");
    const asked = ["export", fixture("digits_cnn.pt"), "--input", "4x1x8x8", "--config", "widths.json"];
    const wrong = await torchsearch(scratch, ...asked, "--output", "small.pt2", "--to", "torchscript");
    expect(wrong.stderr).toMatch(/ERR_EXPORTED_WRITE/);
    const { stderr, status } = await torchsearch(scratch, ...asked, "--output", "small.ep", "--to", "pt2");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const profiled = await torchsearch(scratch, "profile", path.join(scratch, "small.ep"), "--json");
    const profile = JSON.parse(profiled.stdout) as { inputs: unknown };
    expect(profile.inputs).toEqual([{ keyword: null, shape: [4, 1, 8, 8], dtype: "float32" }]);
    const larger = await torchsearch(
      scratch,
      "profile",
      path.join(scratch, "small.ep"),
      "--input",
      "7x1x8x8",
    );
    expect(larger.status).toBe(0);
  });

  it("names a teacher's program apart from that of the model", { timeout: 120_000 }, async () => {
    const at = (name: string): string => path.join(scratch, name);
    using small = await Module.load(fixture("finetune/small.pt"));
    await small.save(at("small.pt2"), { input: [Tensor.from(new Float32Array(SAMPLE), [2, 2, 4, 4])] });
    const records = readZip(readFileSync(at("small.pt2"))).entries.map(({ name, data }) => ({
      name: name.replace(/^[^/]*\//, "two/"),
      data,
      deflate: false,
    }));
    const second = records
      .filter(({ name }) => /\/models\/|\/model[_.]/.test(name))
      .map((each) => ({ ...each, name: each.name.replace(/model([_.])/, "other$1") }));
    writeFileSync(at("two.pt2"), writeZip([...records, ...second]));
    const data = ["--data", fixture("finetune/data.npz"), "--target-array", "labels", "--batch-size", "8"];
    const tune = [
      "finetune",
      "small.pt2",
      ...data,
      "--teacher",
      "two.pt2",
      "--epochs",
      "1",
      "--output",
      "tuned.pt2",
    ];
    const unnamed = await torchsearch(scratch, ...tune);
    expect(unnamed.stderr).toMatch(/ERR_MODEL_NAME.*"model", "other"/s);
    const { status, stderr } = await torchsearch(
      scratch,
      ...tune,
      "--teacher-model",
      "other",
      "--model",
      "model",
    );
    expect(stderr).not.toMatch(/ERR_/);
    expect(status).toBe(0);
    using tuned = await Module.load(at("tuned.pt2"));
    expect(await tuned.fingerprint()).not.toBe(await small.fingerprint());
  });

  it("trains a result that is a .pt2 into another one", { timeout: 120_000 }, async () => {
    const search = [
      "search",
      fixture("digits_cnn.pt"),
      "--data",
      fixture("digits.npz"),
      "--searcher",
      "random",
    ];
    const arrays = ["--input-array", "train_images", "--target-array", "train_labels", "--max-batches", "1"];
    const rest = [
      "--constraint",
      "flops=60%",
      "--iterations",
      "2",
      "--finetune-epochs",
      "1",
      "--output",
      "found.pt2",
    ];
    const { status, stderr } = await torchsearch(scratch, ...search, ...arrays, ...rest);
    expect(stderr).not.toMatch(/ERR_/);
    expect(status).toBe(0);
    using found = await Module.load(path.join(scratch, "found.pt2"));
    using tuned = await Module.load(path.join(scratch, "found.finetuned.pt2"));
    expect(tuned.namedParameters().map(({ name }) => name)).toEqual(
      found.namedParameters().map(({ name }) => name),
    );
    expect(await tuned.fingerprint()).not.toBe(await found.fingerprint());
  });
});
