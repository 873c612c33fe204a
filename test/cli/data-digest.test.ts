/** A checkpoint knows its data by their content. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { digestData } from "../../lib/cli/data-digest";
import { readCheckpoint } from "../../lib/contract/checkpoint";
import { python, runPython } from "../data/python";
import { fixture, torchsearch } from "./command";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-digest-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Writes `data.npz`: the digits, with the labels shifted. */
function writeData(shift: number): void {
  runPython(
    `
import sys, numpy as np
digits, out, shift = sys.argv[1:]
d = np.load(digits)
np.savez(out, x=d["test_images"], y=(d["test_labels"].astype("int64") + int(shift)) % 10)
`,
    fixture("digits.npz"),
    path.join(folder, "data.npz"),
    String(shift),
  );
}

describe("a search whose data changed under the same path", { timeout: 60_000 }, () => {
  const SEARCH = ["search", fixture("digits_resnet.pt"), "--data", "data.npz", "--channel-divisor", "32"];
  const ARGS = [...SEARCH, "--max-batches", "1", "--constraint", "flops=70%", "--output", "subnet.pt"];
  const CHECKPOINT = "subnet.search.safetensors";

  it("is neither resumed nor repeated, until the data are as before", async () => {
    writeData(0);
    const first = await torchsearch(folder, ...ARGS);
    expect(first.status, first.stderr).toBe(0);
    writeData(1);
    for (const args of [ARGS, ["resume", CHECKPOINT]]) {
      const run = await torchsearch(folder, ...args, "--json");
      expect(run.status).toBe(1);
      expect(JSON.parse(run.stdout)).toMatchObject({
        error: {
          code: "ERR_DATA_CHANGED",
          message: expect.stringMatching(/data\.npz changed.*--checkpoint/),
        },
      });
      expect(run.stderr).not.toContain("samples in");
    }
    writeData(0); // another time, the same content
    const again = await torchsearch(folder, "resume", CHECKPOINT);
    expect(again.status, again.stderr).toBe(0);
    expect(again.stderr).not.toContain("taken to be unchanged");
  });

  it("records the SHA-256 of names, sizes and content", async () => {
    writeData(0);
    await torchsearch(folder, ...ARGS);
    const checkpoint = await readCheckpoint(path.join(folder, CHECKPOINT));
    const file = path.join(folder, "data.npz");
    const [{ digest }] = (checkpoint?.settings.annotations as { data: [{ digest: string }] }).data;
    const script =
      "import sys,hashlib;b=open(sys.argv[1],'rb').read();" +
      "print(hashlib.sha256(b'\\0'+str(len(b)).encode()+b'\\0'+b).hexdigest())";
    expect(digest).toBe(execFileSync(python, ["-c", script, file], { encoding: "utf8" }).trim());
  });
});

describe("digestData", () => {
  const write = (name: string, text: string): void => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  };
  const digest = async (): Promise<string> => (await digestData([folder], null))![0]!.digest;

  it("reads a file again whose size, time and inode are as before, and whose content is not", async () => {
    write("1.png", "one");
    utimesSync(path.join(folder, "1.png"), 1, 1);
    const [before] = (await digestData([folder], null))!;
    write("1.png", "two");
    utimesSync(path.join(folder, "1.png"), 1, 1);
    expect((await digestData([folder], [before!]))![0]!.digest).not.toBe(before!.digest);
  });

  it("knows a folder by its files' names and content", async () => {
    write("a/1.png", "one");
    write("b/2.png", "two");
    const first = await digest();
    utimesSync(path.join(folder, "a/1.png"), 1, 1);
    expect(await digest()).toBe(first);
    write("b/2.png", "twO");
    expect(await digest()).not.toBe(first);
    write("b/2.png", "two");
    expect(await digest()).toBe(first);
    copyFileSync(path.join(folder, "b/2.png"), path.join(folder, "b/3.png"));
    expect(await digest()).not.toBe(first);
  });

  it("reads again only what has another size, time or inode", async () => {
    write("data.npy", "12345");
    const file = path.join(folder, "data.npy");
    const [known] = (await digestData([`x=${file}`], null))!;
    expect(known).toMatchObject({ file: `x=${file}` });
    const taken = [{ ...known!, digest: "as recorded" }];
    expect((await digestData([`x=${file}`], taken))![0]!.digest).toBe("as recorded");
    const { atime, mtimeMs } = statSync(file);
    utimesSync(file, atime, new Date(mtimeMs + 5000));
    expect((await digestData([`x=${file}`], taken))![0]!.digest).toBe(known!.digest);
    expect(await digestData([path.join(folder, "none.npz")], null)).toBeNull();
  });
});
