/** Models and files that the command is asked to trust, or to keep apart. */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";

import { readArchive, withForward, writeArchive } from "../support/archive";
import { fixture } from "../support/ioforms";
import { root } from "../support/zoo";
import { torchsearch } from "./command";

const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-trust-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => path.join(folder, name);
const run = (args: string[]) => torchsearch(folder, ...args);

const double = readArchive(fixture("double"));
writeArchive(at("prints.pt"), withForward(double, 'print("noise", 1)', "return x"), 0);
writeArchive(
  at("endless.pt"),
  withForward(double, "y = x", "while True:", "  y = torch.add(y, 1)", "return y"),
  0,
);

describe("--allow-unsafe", () => {
  it("lets a model name what files may not; --json stays one document", async () => {
    const refused = await run(["profile", at("prints.pt"), "--input", "4", "--json"]);
    expect(refused.status).toBe(1);
    expect(JSON.parse(refused.stdout).error.code).toBe("ERR_UNSAFE_OPERATOR");
    const allowed = await run([
      "profile",
      at("prints.pt"),
      "--input",
      "4",
      "--json",
      "--allow-unsafe",
      "prim::Print",
    ]);
    expect(allowed.status, allowed.stderr).toBe(0);
    expect(JSON.parse(allowed.stdout).params).toBe(0);
  });

  it("prints nothing on standard output from a program either", async () => {
    const program = `
      const { Module, Tensor } = require(${JSON.stringify(path.join(root, "dist", "index.js"))});
      Module.load(${JSON.stringify(at("prints.pt"))}, { allowUnsafe: ["prim::Print"] })
        .then((module) => module.forward(Tensor.from([1])))
        .then(() => console.log("the document"));`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", program], { encoding: "utf8" });
    expect({ status, stdout }).toEqual({ status: 0, stdout: "the document\n" });
    expect(stderr).toContain("noise");
  });
});

describe("--no-verify", () => {
  it("reads a file whose checksums don't fit", async () => {
    const file = at("flipped.pt");
    const bytes = readFileSync(path.join(root, "test", "fixtures", "digits_cnn.pt"));
    // A weight's byte: the archive stores tensors as they are.
    bytes[Math.floor(bytes.length / 2)]! ^= 1;
    writeFileSync(file, bytes);
    const args = ["profile", file, "--input", "1x1x8x8", "--json"];
    expect(JSON.parse((await run(args)).stdout).error.code).toBe("ERR_NOT_TORCHSCRIPT");
    const read = await run([...args, "--no-verify"]);
    expect(read.status, read.stderr).toBe(0);
  });
});

describe("--timeout", () => {
  it("ends a command whose model never ends", async () => {
    const { status, stdout } = await run([
      "profile",
      at("endless.pt"),
      "--input",
      "4",
      "--json",
      "--timeout",
      "3",
    ]);
    expect(status).toBe(1);
    expect(JSON.parse(stdout).error.code).toBe("ERR_TIMEOUT");
  });
});

describe("files that are one", () => {
  const model = at("model.pt");
  const data = at("data.npz");
  copyFileSync(path.join(root, "test", "fixtures", "digits_cnn.pt"), model);
  copyFileSync(path.join(root, "test", "fixtures", "digits.npz"), data);
  writeFileSync(at("there"), "old");
  symlinkSync(at("there"), at("symbolic"));
  linkSync(at("there"), at("hard"));
  symlinkSync(folder, at("folder"));
  symlinkSync(model, at("model-link.pt"));
  linkSync(data, at("data-link"));
  const search = ["search", model, "--data", data, "--constraint", "flops=60%", "--json"];
  const tune = ["finetune", model, "--data", data, "--steps", "1", "--json"];

  it.each([
    ["one name", [...search, "--output", at("new.pt"), "--checkpoint", at("new.pt")]],
    ["another spelling", [...search, "--output", at("new.pt"), "--checkpoint", `${folder}/x/../new.pt`]],
    ["a linked folder", [...search, "--output", at("new.pt"), "--checkpoint", at("folder/new.pt")]],
    ["a symbolic link", [...search, "--output", at("there"), "--checkpoint", at("symbolic")]],
    ["a hard link", [...search, "--output", at("there"), "--checkpoint", at("hard")]],
    ["the model", [...search, "--output", at("model-link.pt")]],
    ["the data", [...search, "--checkpoint", at("data-link"), "--output", at("new.pt")]],
    ["training's files", [...tune, "--output", at("there"), "--checkpoint", at("symbolic")]],
    ["training's teacher", [...tune, "--teacher", at("model-link.pt"), "--output", model]],
  ])("by %s are refused before anything is written", async (_, args) => {
    const { status, stdout } = await run(args);
    expect(status).toBe(2);
    expect(JSON.parse(stdout).error.code).toBe("ERR_CLI_OPTION");
    expect(existsSync(at("new.pt"))).toBe(false);
    expect(readFileSync(at("there"), "utf8")).toBe("old");
  });
});
