/** Groups that `torchsearch launch` and torchrun start: killed, stopped and started again, they end as one process does. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Random } from "../../lib/util/random";
import { type RankProcess, ranksOf, startProgram, startRank } from "../support/ranks";
import { python, root } from "../support/zoo";

/** Random moments at which a rank is killed; more of them at night. */
const KILLS = Number(process.env.TORCHSEARCH_KILLS ?? 2);
const SEED = Number(process.env.TORCHSEARCH_KILL_SEED ?? 11);

const main = path.join(root, "dist", "cli", "main.js");
const fixture = (name: string): string => path.join(root, "test", "fixtures", name);
const ONE_THREAD = { OMP_NUM_THREADS: "1" };

let folder: string;
let expected: Buffer;

const subnet = (place: string): string => path.join(folder, place, "subnet.pt");

/** A search whose files go to a folder of its own. */
function search(place: string): string[] {
  mkdirSync(path.join(folder, place), { recursive: true });
  const data = ["--input-array", "train_images", "--target-array", "train_labels", "--batch-size", "64"];
  const how = ["--searcher", "random", "--iterations", "30", "--constraint", "flops=60%"];
  const files = ["--data", fixture("digits.npz"), "--output", subnet(place)];
  return ["search", fixture("digits_cnn.pt"), ...files, ...data, ...how];
}

async function untilStarted(process: RankProcess, count: number): Promise<Map<number, number>> {
  for (;;) {
    const found = ranksOf(process.child.pid as number);
    if (found.size >= count) return found;
    if (process.child.exitCode !== null) throw new Error(`It has ended: ${process.errors()}`);
    await sleep(50);
  }
}

const lives = (id: number): boolean => {
  try {
    // What has ended, and nobody has asked for, is no process any more.
    return !/\) Z/.test(readFileSync(`/proc/${id}/stat`, "utf8"));
  } catch {
    return false;
  }
};

const hasTorchrun = ((): boolean => {
  try {
    execFileSync(python, ["-c", "import torch.distributed.run"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

describe.runIf(process.platform === "linux")("a group that was started", { timeout: 300_000 }, () => {
  let seconds: number;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-launched-"));
    const start = performance.now();
    const { code, errors } = await startRank([main, ...search("alone")], ONE_THREAD).ended;
    expect(code, errors).toBe(0);
    seconds = (performance.now() - start) / 1000;
    expected = readFileSync(subnet("alone"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it(
    `goes on when any rank is killed, at ${KILLS} random moments`,
    { timeout: 120_000 * (1 + KILLS) },
    async () => {
      const random = new Random(SEED);
      for (let i = 0; i < KILLS; i++) {
        const place = `killed-${i}`;
        const launcher = startRank([main, "launch", "--nproc", "3", "--", ...search(place)], ONE_THREAD);
        const ranks = await untilStarted(launcher, 3);
        const moment = seconds * random.float();
        await sleep(1000 * moment);
        const victim = i === 0 ? 0 : random.integer(3);
        const id = ranks.get(victim) as number;
        const said = `rank ${victim} after ${moment.toFixed(2)} s`;
        if (lives(id)) process.kill(id, "SIGKILL");
        const { code, errors } = await launcher.ended;
        expect(code, `${said}: ${errors}`).toBe(0);
        expect(readFileSync(subnet(place)).equals(expected), said).toBe(true);
      }
    },
  );

  it("starts no more than --max-restarts times", async () => {
    const args = ["launch", "--nproc", "2", "--max-restarts", "1", "--", ...search("bounded")];
    const launcher = startRank([main, ...args], ONE_THREAD);
    for (let i = 0; i < 2; i++) {
      const before = i === 0 ? 0 : 1;
      while (launcher.errors().split("start again").length - 1 < before) await sleep(20);
      process.kill((await untilStarted(launcher, 2)).get(1) as number, "SIGKILL");
    }
    const { code, errors } = await launcher.ended;
    expect([code, errors.split("start again").length - 1]).toEqual([137, 1]);
  });

  it("stops at SIGTERM, and goes on with another number of ranks", async () => {
    const args = search("stopped");
    const launcher = startRank([main, "launch", "--nproc", "2", "--", ...args], ONE_THREAD);
    const ranks = await untilStarted(launcher, 2);
    while (!readdirSync(path.join(folder, "stopped")).some((name) => name.endsWith(".safetensors")))
      await sleep(5);
    launcher.child.kill("SIGTERM");
    const { code, errors } = await launcher.ended;
    expect(code, errors).toBe(143);
    for (const id of ranks.values()) expect(lives(id)).toBe(false);
    const again = await startRank([main, "launch", "--nproc", "3", "--", ...args], ONE_THREAD).ended;
    expect(again.code, again.errors).toBe(0);
    expect(readFileSync(subnet("stopped")).equals(expected)).toBe(true);
  });

  describe.runIf(hasTorchrun)("by torchrun", () => {
    const torchrun = (count: number, more: readonly string[], place: string): RankProcess =>
      startProgram(
        python,
        [
          ...["-m", "torch.distributed.run", "--no-python", "--nproc-per-node", String(count), ...more],
          ...["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", process.execPath, main],
          ...search(place),
          "--distributed",
        ],
        ONE_THREAD,
      );

    it("goes on after a restart of all ranks", async () => {
      const agent = torchrun(2, ["--max-restarts", "2"], "torchrun");
      const ranks = await untilStarted(agent, 2);
      await sleep(400 * seconds);
      process.kill(ranks.get(1) as number, "SIGKILL");
      const { code, errors } = await agent.ended;
      expect(code, errors).toBe(0);
      expect(readFileSync(subnet("torchrun")).equals(expected)).toBe(true);
    });

    it("leaves no process 5 s after its agent was killed", async () => {
      const agent = torchrun(2, [], "orphans");
      const ranks = await untilStarted(agent, 2);
      await sleep(400 * seconds);
      agent.child.kill("SIGKILL");
      await sleep(5000);
      for (const id of ranks.values()) expect(lives(id)).toBe(false);
    });
  });
});
