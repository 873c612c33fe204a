/** What happens to a group when one of its processes is killed, held up, missing, or unlike the others. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { firstHost, groupPlace } from "../../lib/distributed/environment";
import { neighbours } from "../../lib/distributed/units";
import { decodeValue, encodeValue } from "../../lib/distributed/values";
import { Random } from "../../lib/util/random";
import { bundle } from "../support/killable";
import { freePort, type RankProcess, rankVariables, startRank, startRanks } from "../support/ranks";
import { root } from "../support/zoo";

let folder: string;
let script: string;
let otherVersion: string;

/** What a run is told beyond its place: for all ranks, or for one. */
interface Told {
  name?: string;
  numIters?: number;
  delay?: number;
  checkpoint?: string | null;
  timeout?: number;
  lease?: number;
  batches?: number;
  seed?: number;
  model?: string;
  more?: object;
}

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-failures-"));
  script = path.join(folder, "run.cjs");
  // Prints a line when it has joined, one for each score, and what came out, or the error's code.
  const source = `
    import { joinGroup, TorchSearchError } from "./lib";
    import { groupRun } from "./test/support/group-runs";
    const { name = "RandomSearcher", timeout = 60, lease = 2, ...told } = JSON.parse(process.argv[2]);
    const print = (line) => process.stdout.write(line + "\\n");
    const run = async () => {
      const group = process.env.WORLD_SIZE === "1" ? null : await joinGroup({ timeout, lease });
      print("joined");
      try {
        const onScore = () => print("score");
        const { text } = await groupRun(name, { fixtures: ${JSON.stringify(path.join(root, "test", "fixtures"))}, folder: ${JSON.stringify(folder)}, group, onScore, ...told });
        print("result " + text);
      } finally {
        await group?.leave();
      }
    };
    run().catch((error) => {
      print("error " + (error instanceof TorchSearchError ? error.code + " " + error.message : error.stack));
      process.exitCode = 1;
    });
  `;
  const external = ["highs", "bindings", "sharp", "@observablehq/plot", "linkedom"];
  await bundle(source, { resolveDir: root, outfile: script, external });
  // The same program of another version.
  const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
    version: string;
  };
  const text = readFileSync(script, "utf8");
  const other = text.replaceAll(`version: "${version}"`, 'version: "0.0.1-other"');
  expect(other).not.toBe(text);
  otherVersion = path.join(folder, "other-version.cjs");
  writeFileSync(otherVersion, other);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const command = (told: Told): string[] => [script, JSON.stringify(told)];
const lineOf = (output: string, word: string): string | undefined =>
  output.split("\n").find((line) => line.startsWith(`${word} `));
const countOf = (rank: RankProcess, word: string): number =>
  rank
    .output()
    .split("\n")
    .filter((line) => line === word).length;

/** Waits until a rank has scored so often, or has ended. */
async function untilScored(rank: RankProcess, scores: number): Promise<void> {
  while (countOf(rank, "score") < scores && rank.child.exitCode === null && rank.child.signalCode === null)
    await sleep(2);
}

/** The result of one process. */
async function alone(told: Told): Promise<string | undefined> {
  const { output } = await startRank(command(told), rankVariables(0, 1, 1)).ended;
  return lineOf(output, "result");
}

describe("a rank's place", () => {
  const four = { RANK: "1", WORLD_SIZE: "2", MASTER_ADDR: "host", MASTER_PORT: "29500" };

  it("comes from torchrun's variables, Slurm's, or what is given", () => {
    const agent = { TORCHELASTIC_RESTART_COUNT: "2", TORCHELASTIC_USE_AGENT_STORE: "True" };
    const place = { rank: 1, worldSize: 2, address: "host", port: 29500 };
    expect(groupPlace({}, { ...four, ...agent })).toEqual({ ...place, restarts: 2, agentHasStore: true });
    expect(groupPlace({ port: 4 }, { ...four, ...agent })).toMatchObject({ port: 4, agentHasStore: false });
    const slurm = {
      SLURM_PROCID: "3",
      SLURM_NTASKS: "8",
      SLURM_JOB_ID: "77",
      SLURM_JOB_NODELIST: "n[07-09,12],g1",
    };
    expect(groupPlace({}, slurm)).toMatchObject({ rank: 3, worldSize: 8, address: "n07" });
    expect(groupPlace(place, {})).toMatchObject(place);
  });

  // As `scontrol show hostnames` expands them.
  it.each([
    ["a", "a"],
    ["a,b", "a"],
    ["node[1-3]", "node1"],
    ["node[003,007-9]-ib", "node003-ib"],
    ["n1.cluster,n2", "n1.cluster"],
  ])("takes the first host of %s", (list, first) => expect(firstHost(list)).toBe(first));

  it.each([
    [{}, "torchrun"],
    [{ RANK: "0", WORLD_SIZE: "2" }, "MASTER_ADDR, MASTER_PORT are not set"],
    [{ ...four, RANK: "2" }, "from 0 to 1 for RANK"],
    [{ ...four, RANK: "x" }, "RANK"],
    [{ ...four, MASTER_PORT: "0" }, "MASTER_PORT"],
    [{ ...four, WORLD_SIZE: "1.5" }, "WORLD_SIZE"],
  ])("refuses %j", (env, said) => {
    expect(() => groupPlace({}, env)).toThrow(expect.objectContaining({ code: "ERR_GROUP_ENV" }));
    expect(() => groupPlace({}, env)).toThrow(said);
  });
});

it("sends every number as it is", () => {
  for (const value of [
    0,
    -0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    0.1 + 0.2,
    5e-324,
  ])
    expect(decodeValue<{ value: number }>(encodeValue({ value })).value).toBe(value);
});

it("puts neighbours into tickets that get shorter, and leaves none out", () => {
  const random = new Random(1);
  for (const [count, ranks] of [
    [40, 2],
    [7, 3],
    [1, 4],
    [100, 8],
  ] as const) {
    const items = Array.from({ length: count }, () => ({
      key: "",
      cost: random.float(),
      measure: async () => 0,
    }));
    const units = neighbours(items, ranks);
    expect(units.flat()).toEqual([...items.keys()]);
    expect((units.at(-1) as number[]).length).toBeLessThanOrEqual((units[0] as number[]).length);
  }
});

describe("a group", { timeout: 240_000 }, () => {
  it("ends as one process when a rank is killed, or held up for longer than its lease", async () => {
    const told = { numIters: 24, delay: 30 };
    const expected = await alone(told);
    const random = new Random(3);
    for (const signal of ["SIGKILL", "SIGKILL", "SIGSTOP"] as const) {
      // Who comes back after all is done finds no store any more: the others take longer than the lease and its time.
      const slowly = signal === "SIGSTOP" ? { ...told, delay: 500 } : told;
      const ranks = startRanks(command(slowly), 3, await freePort());
      const victim = ranks[1 + random.integer(2)] as RankProcess;
      await untilScored(victim, 2 + random.integer(3));
      await sleep(40 * random.float());
      victim.child.kill(signal);
      if (signal === "SIGSTOP") {
        await sleep(3000);
        victim.child.kill("SIGCONT");
      }
      const ends = await Promise.all(ranks.map((rank) => rank.ended));
      for (const [rank, { code, output, errors }] of ends.entries()) {
        if (ranks[rank] === victim && signal === "SIGKILL") continue;
        expect([code, lineOf(output, "result")], `rank ${rank}, ${signal}: ${errors}`).toEqual([0, expected]);
      }
    }
  });

  it("ends when rank 0 is killed, and goes on from its checkpoint with another number of ranks", async () => {
    const told = { numIters: 24, delay: 30, checkpoint: path.join(folder, "killed.safetensors") };
    const expected = await alone({ ...told, checkpoint: null });
    const ranks = startRanks(command(told), 3, await freePort());
    await untilScored(ranks[0] as RankProcess, 4);
    ranks[0]?.child.kill("SIGKILL");
    const [, ...others] = await Promise.all(ranks.map((rank) => rank.ended));
    for (const { code, output } of others) {
      expect(code).toBe(1);
      expect(lineOf(output, "error")).toMatch(/^error ERR_GROUP_PEER_LOST .*start all ranks again/);
    }
    const again = await Promise.all(startRanks(command(told), 2, await freePort()).map((rank) => rank.ended));
    for (const { output } of again) expect(lineOf(output, "result")).toBe(expected);
  });

  it("names a rank that doesn't come, and a difference", async () => {
    const run = async (
      told: readonly Told[],
      more: Record<string, string>[] = [],
      worldSize = told.length,
      scripts: readonly string[] = [],
    ) => {
      const port = await freePort();
      const ranks = told.map((each, rank) =>
        startRank([scripts[rank] ?? script, JSON.stringify(each)], {
          ...rankVariables(rank, worldSize, port),
          ...more[rank],
        }),
      );
      return (await Promise.all(ranks.map((rank) => rank.ended))).map(({ output }) =>
        lineOf(output, "error"),
      );
    };
    const missing = await run([{ timeout: 4 }, { timeout: 4 }], [], 3);
    expect(missing).toEqual([
      expect.stringMatching(/ERR_GROUP_CONNECT .*Rank 2 of 3/),
      expect.stringMatching(/ERR_GROUP_CONNECT .*Rank 2 of 3/),
    ]);
    for (const [told, more, said] of [
      [[{}, {}], [{}, { OMP_NUM_THREADS: "2" }], /ERR_GROUP_MISMATCH .*threads/],
      [[{}, { numIters: 3 }], [], /ERR_GROUP_MISMATCH .*config/],
      [[{}, { name: "TpeSearcher" }], [], /ERR_GROUP_MISMATCH .*searcher/],
      [[{}, { batches: 1 }], [], /ERR_GROUP_MISMATCH .*same data/],
      [[{}, { seed: 6 }], [], /ERR_GROUP_MISMATCH .*seed/],
      [[{}, { model: "digits_resnet.pt" }], [], /ERR_GROUP_MISMATCH .*model/],
    ] as const) {
      // Long enough that the first rank is still at it when the second one comes.
      const long = told.map((each) => ({ numIters: 400, delay: 20, ...each }));
      const errors = await run(long, [...more]);
      for (const error of errors) expect(error).toMatch(said);
    }
    for (const error of await run([{}, {}], [], 2, [script, otherVersion]))
      expect(error).toMatch(/ERR_GROUP_MISMATCH .*the version of torchsearch .*0\.0\.1-other/);
  });

  it("refuses what can't be shared", async () => {
    const told = { name: "EvolveSearcher", more: { earlyStopping: "exact" } };
    const ranks = startRanks(command(told), 2, await freePort());
    for (const { output } of await Promise.all(ranks.map((rank) => rank.ended)))
      expect(lineOf(output, "error")).toMatch(/ERR_CONFIG_VALUE .*earlyStopping/);
  });

  it("refuses a taken port, and a master that is none", async () => {
    const other = createServer((socket) => socket.on("error", () => {}));
    const port = await new Promise<number>((resolve) =>
      other.listen(0, "127.0.0.1", () => resolve((other.address() as { port: number }).port)),
    );
    const run = async (rank: number, at: number): Promise<string | undefined> => {
      const { output } = await startRank(command({ timeout: 2 }), rankVariables(rank, 2, at)).ended;
      return lineOf(output, "error");
    };
    expect(await run(0, port)).toMatch(/ERR_GROUP_CONNECT .*another program has this port/);
    expect(await run(1, port)).toMatch(/ERR_GROUP_CONNECT .*another program/);
    other.close();
    expect(await run(1, await freePort())).toMatch(/ERR_GROUP_CONNECT .*nobody listens/);
  });

  it("goes on when strangers write to its port", async () => {
    const told = { numIters: 24, delay: 200 };
    const expected = await alone(told);
    const port = await freePort();
    const ranks = startRanks(command(told), 2, port);
    await untilScored(ranks[0] as RankProcess, 1);
    const random = new Random(9);
    // As a client of c10d begins.
    const magic = Buffer.from([0, 0xce, 0xf7, 0x85, 0x3c]);
    // Some never say more than a byte at a time, and stay until the end.
    const slow = Array.from({ length: 20 }, () => {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      const timer = setInterval(() => socket.write(magic.subarray(0, 1)), 100);
      return { socket, timer };
    });
    // Each kind of request, of a key or with a count of keys that no memory holds.
    const lengths = [2n ** 63n, 2n ** 64n - 1n, 2n ** 40n, 2n ** 31n].map((length) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(length);
      return bytes;
    });
    const huge = Array.from({ length: 20 }, (_, kind) => kind).flatMap((kind) =>
      lengths.map((length) =>
        Buffer.concat([magic, Buffer.alloc(4), Buffer.from([kind]), length, Buffer.alloc(64)]),
      ),
    );
    for (let i = 0; i < 60 + huge.length; i++) {
      const noise = Buffer.from(Array.from({ length: 1 + random.integer(300) }, () => random.integer(256)));
      const request = huge[i - 60];
      const texts =
        request !== undefined
          ? [request, Buffer.concat([request.subarray(0, 5), request.subarray(9)])]
          : [noise, Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Buffer.concat([magic, noise])];
      await new Promise<void>((resolve) => {
        const socket = connect(port, "127.0.0.1", () => socket.end(random.choice(texts)));
        socket.on("error", () => resolve());
        socket.on("close", () => resolve());
        socket.resume();
        setTimeout(() => socket.destroy(), 50);
      });
    }
    for (const { output } of await Promise.all(ranks.map((rank) => rank.ended)))
      expect(lineOf(output, "result")).toBe(expected);
    for (const { socket, timer } of slow) {
      clearInterval(timer);
      socket.destroy();
    }
  });
});
