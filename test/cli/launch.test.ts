/** `torchsearch launch` and `--distributed`: the command's result is that of one process, and no process stays. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ranksOf, startRank } from "../support/ranks";
import { root } from "../support/zoo";

const main = path.join(root, "dist", "cli", "main.js");
const fixture = (name: string) => path.join(root, "test", "fixtures", name);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-launch-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A search whose files go to a folder of its own. */
function search(place: string, iterations: number): string[] {
  mkdirSync(path.join(folder, place), { recursive: true });
  const data = [
    "--data",
    fixture("digits.npz"),
    "--input-array",
    "test_images",
    "--target-array",
    "test_labels",
  ];
  const how = ["--searcher", "evolve", "--iterations", String(iterations), "--set", "populationSize=4"];
  const output = ["--max-batches", "2", "--output", path.join(folder, place, "subnet.pt"), "--json"];
  return ["search", fixture("digits_cnn.pt"), ...data, "--constraint", "flops=60%", ...how, ...output];
}

const ONE_THREAD = { OMP_NUM_THREADS: "1" };

/** Processes of the system whose command line names a text. */
async function processesNaming(text: string): Promise<number> {
  const { output } = await startRank(
    [
      "-e",
      `const fs = require("node:fs");
       const named = fs.readdirSync("/proc").filter((id) => {
         if (!/^\\d+$/.test(id) || id === String(process.pid)) return false;
         try {
           return fs.readFileSync("/proc/" + id + "/cmdline", "utf8").includes(process.argv[1]);
         } catch {
           return false;
         }
       });
       process.stdout.write(String(named.length));`,
      text,
    ],
    {},
  ).ended;
  return Number(output);
}

describe("torchsearch launch", { timeout: 180_000 }, () => {
  it("finds and writes what one process does", async () => {
    const one = await startRank([main, ...search("one", 8)], ONE_THREAD).ended;
    const two = await startRank([main, "launch", "--nproc", "2", "--", ...search("two", 8)], ONE_THREAD)
      .ended;
    expect([one.code, two.code]).toEqual([0, 0]);
    const [alone, shared] = [one, two].map(({ output }) => JSON.parse(output) as Record<string, unknown>);
    for (const key of ["score", "costs", "bounds", "met", "searcher"])
      expect(shared?.[key]).toEqual(alone?.[key]);
    const bytes = (place: string) => readFileSync(path.join(folder, place, "subnet.pt"));
    expect(bytes("two").equals(bytes("one"))).toBe(true);
  });

  it("ends with the error of its processes", async () => {
    const args = [...search("wrong", 8), "--mode", "sparsegpt"];
    const { code } = await startRank([main, "launch", "--nproc", "2", "--", ...args], ONE_THREAD).ended;
    expect(code).toBe(2);
    const { code: other, errors } = await startRank([main, "launch", "--", "profile", "x.pt"], {}).ended;
    expect([other, errors]).toEqual([2, expect.stringContaining("launch runs search and resume")]);
  });

  it.runIf(process.platform === "linux")("leaves no process when it is killed", async () => {
    const args = search("killed", 4000);
    const launcher = startRank([main, "launch", "--nproc", "2", "--", ...args], ONE_THREAD);
    const place = path.join(folder, "killed");
    while ((await processesNaming(place)) < 3) await sleep(100);
    await sleep(2000);
    launcher.child.kill("SIGKILL");
    await sleep(5000);
    expect(await processesNaming(place)).toBe(0);
  });
});

it("refuses --distributed outside of a group", async () => {
  const { code, output } = await startRank([main, ...search("none", 8), "--distributed"], {
    RANK: "",
    WORLD_SIZE: "",
    MASTER_ADDR: "",
    MASTER_PORT: "",
  }).ended;
  expect([code, JSON.parse(output)]).toEqual([
    1,
    { error: { code: "ERR_GROUP_ENV", message: expect.stringContaining("torchsearch launch") } },
  ]);
});

describe("torchsearch launch -- finetune", { timeout: 240_000 }, () => {
  /** A training in four shards whose files go to a folder of its own. */
  function finetune(place: string, epochs: number): string[] {
    mkdirSync(path.join(folder, place), { recursive: true });
    const data = [
      "--data",
      fixture("digits.npz"),
      "--input-array",
      "train_images",
      "--target-array",
      "train_labels",
    ];
    const output = ["--output", path.join(folder, place, "trained.pt"), "--json"];
    const how = ["--batch-size", "32", "--holdout", "20%", "--epochs", String(epochs), "--data-shards", "4"];
    return ["finetune", fixture("digits_resnet.pt"), ...data, ...how, ...output];
  }
  const trained = (place: string): Promise<Buffer> => readFile(path.join(folder, place, "trained.pt"));

  it("trains to the bits of one process, also when a rank is killed meanwhile", async () => {
    const one = await startRank([main, ...finetune("trained-one", 2)], ONE_THREAD).ended;
    expect(one.code, one.errors).toBe(0);
    const args = [main, "launch", "--nproc", "2", "--"];
    const two = await startRank([...args, ...finetune("trained-two", 2)], ONE_THREAD).ended;
    expect(two.code, two.errors).toBe(0);
    const [alone, shared] = [one, two].map(({ output }) => JSON.parse(output) as Record<string, unknown>);
    for (const key of ["score", "steps", "epochs"]) expect(shared?.[key]).toEqual(alone?.[key]);
    expect((await trained("trained-two")).equals(await trained("trained-one"))).toBe(true);

    const launcher = startRank([...args, ...finetune("trained-killed", 2)], ONE_THREAD);
    const checkpoint = path.join(folder, "trained-killed", "trained.finetune.safetensors");
    // After the first epoch, rank 1 is killed.
    while (!existsSync(checkpoint) && launcher.child.exitCode === null) await sleep(10);
    const ranks = ranksOf(launcher.child.pid as number);
    process.kill(ranks.get(1) as number, "SIGKILL");
    const { code, errors } = await launcher.ended;
    expect(code, errors).toBe(0);
    expect(errors).toContain("start again");
    expect((await trained("trained-killed")).equals(await trained("trained-one"))).toBe(true);
  });
});
