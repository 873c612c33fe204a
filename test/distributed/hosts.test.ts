/** Several hosts, each a network namespace of Linux: what needs root and `ip`, else the tests are skipped. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { bundle } from "../support/killable";
import { type RankProcess, startProgram, startRank } from "../support/ranks";
import { root } from "../support/zoo";

const id = process.pid % 10_000;
const HOSTS = [0, 1].map((at) => ({
  name: `tsh${id}-${at}`,
  address: `10.213.7.${at + 1}`,
  cable: `tsc${id}-${at}`,
}));
const ip = (...args: string[]): void => {
  execFileSync("ip", args, { stdio: "ignore" });
};

function removeHosts(): void {
  for (const { name } of HOSTS) {
    try {
      ip("netns", "del", name);
    } catch {
      // It was not made.
    }
  }
}

/** Two hosts with a cable between them; whether this system lets us. */
function makeHosts(): boolean {
  try {
    for (const { name } of HOSTS) ip("netns", "add", name);
    const [one, two] = HOSTS as [(typeof HOSTS)[0], (typeof HOSTS)[0]];
    ip("link", "add", one.cable, "type", "veth", "peer", "name", two.cable);
    for (const { name, address, cable } of HOSTS) {
      ip("link", "set", cable, "netns", name);
      ip("-n", name, "addr", "add", `${address}/24`, "dev", cable);
      ip("-n", name, "link", "set", cable, "up");
      ip("-n", name, "link", "set", "lo", "up");
    }
    return true;
  } catch {
    removeHosts();
    return false;
  }
}

const possible = process.platform === "linux" && makeHosts();

describe.runIf(possible)("two hosts", { timeout: 240_000 }, () => {
  let folder: string;
  let script: string;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-hosts-"));
    script = path.join(folder, "run.cjs");
    const fixtures = path.join(root, "test", "fixtures");
    const source = `
      import { joinGroup } from "./lib";
      import { groupRun } from "./test/support/group-runs";
      const [, , told] = process.argv;
      const run = async () => {
        const group = process.env.WORLD_SIZE === "1" ? null : await joinGroup({ timeout: 6, lease: 2 });
        try {
          const onScore = () => process.stdout.write("score\\n");
          const options = { fixtures: ${JSON.stringify(fixtures)}, folder: ${JSON.stringify(folder)}, group, onScore, ...JSON.parse(told) };
          const { text } = await groupRun("RandomSearcher", options);
          process.stdout.write("result " + text + "\\n");
        } finally {
          await group?.leave();
        }
      };
      run().catch((error) => {
        process.stdout.write("error " + error.code + "\\n");
        process.exitCode = 1;
      });
    `;
    const external = ["highs", "bindings", "sharp", "@observablehq/plot", "linkedom"];
    await bundle(source, { resolveDir: root, outfile: script, external });
  });
  afterAll(() => {
    removeHosts();
    rmSync(folder, { recursive: true, force: true });
  });

  const told = (delay: number): string => JSON.stringify({ numIters: 20, delay });
  const endOf = (output: string): string | undefined =>
    output.split("\n").find((line) => /^(result|error) /.test(line));

  /** A rank on each host. */
  function start(delay: number, port: number): RankProcess[] {
    const place = {
      WORLD_SIZE: "2",
      MASTER_ADDR: HOSTS[0]?.address as string,
      MASTER_PORT: String(port),
      OMP_NUM_THREADS: "1",
    };
    return HOSTS.map(({ name }, rank) =>
      startProgram("ip", ["netns", "exec", name, process.execPath, script, told(delay)], {
        ...place,
        RANK: String(rank),
      }),
    );
  }

  it("end as one process does, and rank 0 listens on the address of the other's network alone", async () => {
    const alone = await startRank([script, told(0)], { WORLD_SIZE: "1", OMP_NUM_THREADS: "1" }).ended;
    expect(endOf(alone.output)).toMatch(/^result /);
    const ranks = start(40, 29501);
    while (!ranks[0]?.output().includes("score") && ranks[0]?.child.exitCode === null) await sleep(5);
    const [host] = HOSTS as [(typeof HOSTS)[0]];
    // Columns of /proc/net/tcp: number, local address, remote address, state (0A: listening).
    const listening = execFileSync(
      "ip",
      ["netns", "exec", host.name, "cat", "/proc/net/tcp", "/proc/net/tcp6"],
      { encoding: "utf8" },
    )
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state]) => state === "0A")
      .map(([, local]) => local);
    // 10.213.7.1:29501, bytes of the address in the machine's order.
    expect(listening).toEqual(["0107D50A:733D"]);
    for (const { output } of await Promise.all(ranks.map((rank) => rank.ended)))
      expect(endOf(output)).toBe(endOf(alone.output));
  });

  it("lose their cable: the one with the store ends well, the other one with an error", async () => {
    const alone = await startRank([script, told(0)], { WORLD_SIZE: "1", OMP_NUM_THREADS: "1" }).ended;
    const ranks = start(300, 29502);
    while (!ranks[1]?.output().includes("score\nscore") && ranks[1]?.child.exitCode === null) await sleep(5);
    const [, other] = HOSTS as [unknown, (typeof HOSTS)[0]];
    ip("-n", other.name, "link", "set", other.cable, "down");
    const [first, second] = await Promise.all(ranks.map((rank) => rank.ended));
    expect(endOf(first?.output ?? "")).toBe(endOf(alone.output));
    expect(endOf(second?.output ?? "")).toBe("error ERR_GROUP_PEER_LOST");
  });
});
