/** The parts of ModelOpt's present searcher that the reference document doesn't have yet. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BaseSearcher } from "../../lib/contract/base";
import { readCheckpoint } from "../../lib/contract/checkpoint";
import type { SearchConfig } from "../../lib/contract/config";
import { requireReachable, satisfies } from "../../lib/contract/constraints";
import { FakeModel, type TrialConfig, TrialSearcher, type TrialState } from "./doubles";

const code = (value: string, message?: RegExp): Error =>
  expect.objectContaining({
    code: value,
    ...(message ? { message: expect.stringMatching(message) as string } : {}),
  }) as Error;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

const search = (checkpoint: string, config: Partial<TrialConfig> = {}, searcher = new TrialSearcher()) =>
  searcher.search(new FakeModel(), {}, null, { checkpoint, trials: 2, ...config });

/** Makes this process one of `worldSize` that search together. */
function asRank(rank: number, worldSize: number): void {
  vi.stubEnv("RANK", String(rank));
  vi.stubEnv("WORLD_SIZE", String(worldSize));
}

describe("loadSearchCheckpoint({ strict })", () => {
  interface WiderState extends TrialState {
    rounds: number[];
  }
  /** A later version of the searcher: it keeps something new, and no longer keeps `best`. */
  class Later extends BaseSearcher<WiderState, TrialConfig, FakeModel> {
    override get defaultSearchConfig(): TrialConfig {
      return { ...super.defaultSearchConfig, verbose: false, trials: 2 };
    }
    get defaultStateDict(): WiderState {
      return { history: [], rounds: [7] } as unknown as WiderState;
    }
    runSearch(): void {
      this.state.rounds.push(8);
    }
    get kept(): WiderState {
      return this.state;
    }
  }
  class Lenient extends Later {
    override loadSearchCheckpoint(): Promise<boolean> {
      return super.loadSearchCheckpoint({ strict: false });
    }
  }

  it("refuses other keys, unless it is false: then missing ones are the defaults, surplus ones are dropped", async () => {
    const checkpoint = path.join(folder, "state.safetensors");
    const { stateDict } = await search(checkpoint);
    await expect(new Later().search(new FakeModel(), {}, null, { checkpoint })).rejects.toThrow(
      code("ERR_CHECKPOINT_KEYS", /lacks rounds.*best too many/),
    );
    const lenient = new Lenient();
    const resumed = await lenient.search(new FakeModel(), {}, null, { checkpoint });
    expect(resumed.stateDict).toEqual({ history: stateDict.history, rounds: [7, 8] });
    expect(Object.keys(lenient.kept)).toEqual(["history", "rounds"]);
    expect(lenient.defaultStateDict.rounds).toEqual([7]); // the default was copied
    expect((await readCheckpoint(checkpoint))?.state).toEqual(stateDict); // nothing was saved
  });

  it("still refuses another model's checkpoint", async () => {
    const checkpoint = path.join(folder, "state.safetensors");
    await search(checkpoint);
    await expect(new Lenient().search(new FakeModel("another"), {}, null, { checkpoint })).rejects.toThrow(
      code("ERR_CHECKPOINT_MODEL"),
    );
  });
});

describe("saveSearchCheckpoint({ verbose })", () => {
  it("names the file on standard error, whatever the config's verbose says", async () => {
    const lines: string[] = [];
    vi.spyOn(process.stderr, "write").mockImplementation((text) => {
      lines.push(String(text));
      return true;
    });
    const checkpoint = path.join(folder, "state.safetensors");
    const searcher = new TrialSearcher();
    await search(checkpoint, { verbose: false }, searcher);
    await searcher.saveSearchCheckpoint({ verbose: false });
    expect(lines).toEqual([]);
    await searcher.saveSearchCheckpoint({ verbose: true });
    expect(lines).toEqual([expect.stringContaining(checkpoint)]);
    asRank(1, 2); // writes nothing, so it says nothing
    await searcher.saveSearchCheckpoint({ verbose: true });
    searcher.config = { ...searcher.config, checkpoint: null };
    await searcher.saveSearchCheckpoint({ verbose: true });
    expect(lines).toHaveLength(1);
  });
});

describe("a checkpoint path that is a folder", () => {
  it.each([
    ["has no extension", "states"],
    ["ends in a separator", `states.v2${path.sep}`],
    ["ends in a slash", "states.v2/"],
  ])("%s: it holds a file for each rank, from which that rank resumes", async (_, name) => {
    const checkpoint = path.join(folder, name);
    const straight = await search(path.join(folder, "straight.safetensors"), { trials: 4, seed: 1 });
    for (const rank of [0, 1]) {
      asRank(rank, 2);
      await search(checkpoint, { trials: 2, seed: rank });
    }
    expect(readdirSync(checkpoint).sort()).toEqual(["rank0.safetensors", "rank1.safetensors"]);
    const resumed = await search(checkpoint, { trials: 4 }); // rank 1 still, with its random numbers
    expect(resumed.stateDict).toEqual(straight.stateDict);
    vi.unstubAllEnvs();
    expect((await search(checkpoint)).stateDict.history).toHaveLength(2);
    expect(readdirSync(checkpoint).sort()).toEqual(["rank0.safetensors", "rank1.safetensors"]);
  });

  it("may exist already, whatever its name", async () => {
    const checkpoint = path.join(folder, "states.dir");
    mkdirSync(checkpoint);
    await search(checkpoint);
    expect(readdirSync(checkpoint)).toEqual(["rank0.safetensors"]);
  });

  it("is a file where one of that name exists, or where it has an extension; rank 0 alone writes that", async () => {
    const named = path.join(folder, "state.safetensors");
    await search(named);
    const plain = path.join(folder, "state");
    await search(named);
    // A file without an extension, as earlier versions wrote it, is read and written again.
    renameSync(named, plain);
    await search(plain, { trials: 3 });
    expect((await readCheckpoint(plain))?.state.history).toHaveLength(3);
    asRank(1, 2);
    expect((await search(plain, { trials: 5 })).stateDict.history).toHaveLength(5); // read, not written
    expect((await readCheckpoint(plain))?.state.history).toHaveLength(3);
    await search(named);
    expect(existsSync(named)).toBe(false);
  });

  it("is read like a file by readCheckpoint", async () => {
    const checkpoint = path.join(folder, "states");
    expect(await readCheckpoint(checkpoint)).toBeNull();
    await search(checkpoint);
    expect((await readCheckpoint(checkpoint))?.searcher).toBe("TrialSearcher");
  });
});

describe("a subclass without some of the base config's keys", () => {
  type FewConfig = Pick<SearchConfig, "checkpoint" | "seed">;
  class Few extends BaseSearcher<{ done: boolean }, FewConfig, FakeModel> {
    override get defaultSearchConfig(): FewConfig {
      return { checkpoint: null, seed: 3 };
    }
    get defaultStateDict() {
      return { done: false };
    }
    async runSearch(): Promise<void> {
      this.state.done = true;
      this.report({ phase: "search", done: 1, total: 1, message: "nobody listens" });
      await this.saveSearchCheckpoint();
    }
  }

  it("makes them unknown to its users", async () => {
    for (const key of ["scoreFunc", "dataLoader", "forwardLoop", "verbose", "signal", "lossFunc"]) {
      await expect(new Few().search(new FakeModel(), {}, null, { [key]: null } as object)).rejects.toThrow(
        code("ERR_UNKNOWN_CONFIG_KEY", /known are checkpoint, seed/),
      );
    }
  });

  it("searches, with the base class going by their defaults", async () => {
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const searcher = new Few();
    const checkpoint = path.join(folder, "state.safetensors");
    const { stateDict } = await searcher.search(new FakeModel(), {}, null, { checkpoint });
    expect(stateDict).toEqual({ done: true });
    expect(searcher.config).toEqual({ checkpoint, seed: 3 });
    expect(searcher.hasScore).toBe(false);
    expect(searcher.forwardLoop).toBeNull();
    expect(searcher.deployment).toBeNull();
    await expect(searcher.evalScore()).rejects.toThrow(code("ERR_NO_SCORE"));
    expect((await readCheckpoint(checkpoint))?.settings.config).toEqual({ checkpoint, seed: 3 });
  });
});

describe("lower bounds", () => {
  const full = { flops: 1000, size: 400, "latency.p50": 2, "latency.p95": 4 };
  class Between extends TrialSearcher {
    protected override get takesLowerBounds(): boolean {
      return true;
    }
    resolved() {
      return this.resolveConstraints(full);
    }
    get names(): readonly string[] {
      return this.constrained;
    }
  }
  async function resolved(constraints: object): Promise<ReturnType<Between["resolved"]>> {
    const searcher = new Between();
    await searcher.search(new FakeModel(), constraints as never, null, { trials: 1 });
    return searcher.resolved();
  }

  it("come as a pair, each side a number, a percentage or null, also within records", async () => {
    expect(await resolved({ flops: ["50%", "60%"], size: [100, null] })).toEqual({
      bounds: { flops: 600 },
      lowerBounds: { flops: 500, size: 100 },
    });
    expect(await resolved({ flops: [null, 700], size: [null, null] })).toEqual({
      bounds: { flops: 700 },
      lowerBounds: {},
    });
    expect(await resolved({ latency: { p50: ["25%", 1], p95: 3 } })).toEqual({
      bounds: { "latency.p50": 1, "latency.p95": 3 },
      lowerBounds: { "latency.p50": 0.5 },
    });
    const searcher = new Between();
    await searcher.search(new FakeModel(), { flops: ["50%", null], size: 300 }, null, { trials: 1 });
    expect(searcher.names).toEqual(["size", "flops"]);
  });

  it("are refused by searchers that don't meet them, but a pair without a lower bound is an upper one", async () => {
    const searcher = new TrialSearcher();
    await expect(searcher.search(new FakeModel(), { flops: ["50%", "60%"] })).rejects.toThrow(
      code("ERR_CONSTRAINT_VALUE", /TrialSearcher takes upper bounds only, but flops has a lower one/),
    );
    await searcher.search(new FakeModel(), { flops: [null, "60%"] }, null, { trials: 1 });
    expect(searcher.boundsFor(full)).toEqual({ flops: 600 });
  });

  it.each([
    [{ flops: ["60%", "50%"] }, /at most the upper one, 500, for flops but received 600/],
    [{ flops: [0, 500] }, /above 0 for flops/],
    [{ flops: [0.5, 500] }, /did you mean "50%"/],
    [{ flops: ["5O%", 500] }, /did you mean "50%"/],
    [{ flops: [1, 2, 3] }, /pair \[lower, upper\].* for flops but received an array of 3/],
    [{ flops: [[1, 2], 3] }, /for flops but received an array of 2/],
    [{ flops: [{ p50: 1 }, 3] }, /for flops but received an object/],
  ])("%j is refused", async (constraints, message) => {
    await expect(resolved(constraints)).rejects.toThrow(code("ERR_CONSTRAINT_VALUE", message));
  });

  it("hold from the bound on, and not for a cost that is missing or NaN", () => {
    const lower = { flops: 500 };
    expect(satisfies({ flops: 500 }, {}, lower)).toBe(true);
    expect(satisfies({ flops: 499 }, {}, lower)).toBe(false);
    expect(satisfies({ flops: Number.NaN }, {}, lower)).toBe(false);
    expect(satisfies({}, {}, lower)).toBe(false);
    expect(satisfies({ flops: 550 }, { flops: 540 }, lower)).toBe(false);
  });

  it("that no subnet reaches are refused with the largest value that one does", () => {
    expect(() => requireReachable({ flops: 2000 }, { flops: 10 }, { flops: 1000 }, { flops: 1500 })).toThrow(
      code(
        "ERR_CONSTRAINT_UNREACHABLE",
        /flops >= 1500 can't be reached: the largest reachable is 1000\. Lower/,
      ),
    );
    expect(() => requireReachable({}, {}, { flops: 1000 }, { flops: 1000 })).not.toThrow();
  });
});
