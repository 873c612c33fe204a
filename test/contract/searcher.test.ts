import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BaseSearcher } from "../../lib/contract/base";
import { TorchSearchError } from "../../lib/errors";
import type { ProgressEvent } from "../../lib/util/progress";
import { FakeModel, TrialSearcher, type TrialState } from "./doubles";

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
});

describe("final members", () => {
  class Minimal extends BaseSearcher {
    get defaultStateDict() {
      return {};
    }
    runSearch(): void {}
  }

  it("lets a plain subclass be, also of a subclass, also with a constructor that takes nothing", () => {
    class WithField extends Minimal {
      extra = 1;
      constructor() {
        super();
        this.extra = 2;
      }
    }
    expect(new Minimal()).toBeInstanceOf(BaseSearcher);
    expect(new WithField().extra).toBe(2);
  });

  it("refuses a constructor with parameters, anywhere in the chain", () => {
    class Bad extends Minimal {
      constructor(readonly option: number) {
        super();
      }
    }
    class Worse extends Bad {
      constructor() {
        super(1);
      }
    }
    class Sneaky extends Minimal {
      constructor(...args: unknown[]) {
        super(...(args as []));
      }
    }
    expect(() => new Bad(1)).toThrow(code("ERR_FINAL_MEMBER", /Bad must not take constructor parameters/));
    expect(() => new Worse()).toThrow(code("ERR_FINAL_MEMBER"));
    expect(() => new Sneaky(1)).toThrow(code("ERR_FINAL_MEMBER"));
    expect(() => new (Minimal as unknown as new (x: number) => Minimal)(1)).toThrow(code("ERR_FINAL_MEMBER"));
  });

  it("refuses overriding search or stateDict, anywhere in the chain", () => {
    class OwnSearch extends Minimal {
      override search(): never {
        throw new Error("never called");
      }
    }
    class Below extends OwnSearch {}
    class OwnStateDict extends Minimal {
      override stateDict() {
        return {};
      }
    }
    expect(() => new OwnSearch()).toThrow(code("ERR_FINAL_MEMBER", /search is final: OwnSearch/));
    expect(() => new Below()).toThrow(code("ERR_FINAL_MEMBER", /OwnSearch/));
    expect(() => new OwnStateDict()).toThrow(code("ERR_FINAL_MEMBER", /stateDict is final/));
  });
});

describe("abstract members", () => {
  class Half extends BaseSearcher {
    get defaultStateDict() {
      return {};
    }
    declare runSearch: () => void;
  }

  it("refuses BaseSearcher itself, as Python's ABC does, and says what to implement", () => {
    expect(() => new (BaseSearcher as unknown as new () => BaseSearcher)()).toThrow(
      code(
        "ERR_ABSTRACT_CLASS",
        /^BaseSearcher is abstract.*getter defaultStateDict and a method runSearch\(\)/,
      ),
    );
  });

  it("refuses a subclass that lacks some of them, also further down, and an anonymous one", () => {
    class Below extends Half {}
    const Empty = (() => class extends (BaseSearcher as unknown as new () => object) {})();
    expect(() => new Half()).toThrow(code("ERR_ABSTRACT_CLASS", /^Half .*lacks runSearch of BaseSearcher/));
    expect(() => new Below()).toThrow(code("ERR_ABSTRACT_CLASS", /^Below .*a method runSearch\(\)/));
    expect(() => new Empty()).toThrow(
      code("ERR_ABSTRACT_CLASS", /^This subclass .*lacks defaultStateDict and runSearch/),
    );
  });

  it("counts members of classes only, which exist when the object is made", () => {
    class AsField extends Half {
      override runSearch = () => {};
    }
    expect(() => new AsField()).toThrow(code("ERR_ABSTRACT_CLASS", /A field does not count/));
    class Whole extends AsField {}
    Whole.prototype.runSearch = () => {};
    expect(new Whole()).toBeInstanceOf(BaseSearcher);
  });

  it("lets a subclass have abstract members of its own", () => {
    abstract class Proposing extends TrialSearcher {
      protected static override readonly abstractMembers = { propose: "a method propose()" };
      abstract propose(): number;
    }
    class Sound extends Proposing {
      propose(): number {
        return 1;
      }
    }
    expect(() => new (Proposing as unknown as new () => Proposing)()).toThrow(
      code("ERR_ABSTRACT_CLASS", /^Proposing is abstract.*a method propose\(\)/),
    );
    expect(new Sound().propose()).toBe(1);
  });
});

describe("final members as fields", () => {
  it("can't be defined or assigned", () => {
    const searcher = new TrialSearcher();
    expect(() => Object.defineProperty(searcher, "search", { value: () => {} })).toThrow(TypeError);
    expect(() => {
      (searcher as { search: unknown }).search = () => {};
    }).toThrow(TypeError);
    expect(Object.keys(searcher)).not.toContain("search");
  });
});

describe("search", () => {
  it("runs the steps in the reference's order", async () => {
    const order: string[] = [];
    class Ordered extends TrialSearcher {
      override resetSearch(): void {
        order.push("resetSearch");
        super.resetSearch();
      }
      override sanitizeSearchConfig(config?: Parameters<TrialSearcher["sanitizeSearchConfig"]>[0]) {
        order.push("sanitizeSearchConfig");
        return super.sanitizeSearchConfig(config);
      }
      override constructForwardLoop(options?: Parameters<TrialSearcher["constructForwardLoop"]>[0]) {
        order.push("constructForwardLoop");
        expect(this.dummyInput).toEqual([1, { y: 2 }]);
        expect(this.constraints).toEqual({ flops: "60%" });
        expect(this.deployment).toEqual({ runtime: "cpu" });
        return super.constructForwardLoop(options);
      }
      override async loadSearchCheckpoint(): Promise<boolean> {
        order.push("loadSearchCheckpoint");
        return await super.loadSearchCheckpoint();
      }
      override beforeSearch(): void {
        order.push("beforeSearch");
        super.beforeSearch();
      }
      override async runSearch(): Promise<void> {
        order.push("runSearch");
        await super.runSearch();
      }
      override afterSearch(): void {
        order.push("afterSearch");
      }
    }
    const model = new FakeModel();
    const searcher = new Ordered();
    const { subnet, stateDict } = await searcher.search(model, { flops: "60%" }, [1, { y: 2 }], {
      trials: 3,
      deployment: { runtime: "cpu" },
    });
    expect(order).toEqual([
      "resetSearch",
      "sanitizeSearchConfig",
      "constructForwardLoop",
      "loadSearchCheckpoint",
      "beforeSearch",
      "runSearch",
      "afterSearch",
    ]);
    expect(subnet).toBe(model);
    expect(Object.keys(stateDict)).toEqual(["best", "history"]);
    expect(stateDict.best?.score).toBe(Math.max(...stateDict.history));
    expect(searcher.boundsFor({ flops: 50 })).toEqual({ flops: 30 });
    expect(model.training).toBe(true);
    expect(model.selected).toBe("candidate");
  });

  it.each([true, false])("restores training mode %s, also when a step throws", async (training) => {
    for (const step of [
      "beforeSearch",
      "runSearch",
      "afterSearch",
      "loadSearchCheckpoint",
      "resetSearch",
    ] as const) {
      const model = new FakeModel();
      model.training = training;
      const searcher = new TrialSearcher();
      vi.spyOn(searcher, step).mockImplementation(() => {
        model.training = !training;
        model.selected = "broken";
        throw new Error(`from ${step}`);
      });
      await expect(searcher.search(model, {})).rejects.toThrow(`from ${step}`);
      expect(model.training).toBe(training);
      expect(model.selected).toBe("full");
      vi.restoreAllMocks();
      await searcher.search(model, {}, null, { trials: 1 }); // neither is left busy
      expect(model.training).toBe(training);
    }
  });

  it("tells the first error even when the model can't be restored", async () => {
    const model = new FakeModel();
    const searcher = new TrialSearcher();
    searcher.afterTrial = () => {
      model.train = () => {
        throw new Error("closed");
      };
      throw new Error("the real reason");
    };
    await expect(searcher.search(model, {})).rejects.toThrow("the real reason");
  });

  it("refuses a second search on the same searcher or model until the first is over", async () => {
    const model = new FakeModel();
    const searcher = new TrialSearcher();
    const first = searcher.search(model, {});
    await expect(searcher.search(new FakeModel(), {})).rejects.toThrow(code("ERR_BUSY", /searcher/));
    await expect(new TrialSearcher().search(model, {})).rejects.toThrow(code("ERR_BUSY", /model/));
    await first;
    await expect(searcher.search(model, {})).resolves.toBeDefined();
  });

  it("starts every search from a fresh deep copy of the default state", async () => {
    const shared: TrialState = { best: null, history: [] };
    class Shared extends TrialSearcher {
      override get defaultStateDict(): TrialState {
        return shared;
      }
    }
    const searcher = new Shared();
    const first = await searcher.search(new FakeModel(), {}, null, { trials: 2, seed: 1 });
    const second = await searcher.search(new FakeModel(), {}, null, { trials: 2, seed: 1 });
    expect(shared).toEqual({ best: null, history: [] });
    expect(first.stateDict).toEqual(second.stateDict);
    expect(first.stateDict.history).not.toBe(second.stateDict.history);
    const other = await searcher.search(new FakeModel(), {}, null, { trials: 2, seed: 2 });
    expect(other.stateDict).not.toEqual(first.stateDict);
  });

  it("stops when aborted: before, between and after saving; the model is as before, the checkpoint stays", async () => {
    const checkpoint = path.join(folder, "state.safetensors");
    const before = new FakeModel();
    await expect(
      new TrialSearcher().search(before, {}, null, { signal: AbortSignal.abort("no need") }),
    ).rejects.toThrow(code("ERR_ABORTED"));
    expect(before.selected).toBe("full");

    const controller = new AbortController();
    const searcher = new TrialSearcher();
    searcher.afterTrial = async (trial) => {
      if (trial === 3) controller.abort();
      await searcher.evalScore();
    };
    const model = new FakeModel();
    await expect(
      searcher.search(model, {}, null, { checkpoint, signal: controller.signal, scoreFunc: () => 1 }),
    ).rejects.toThrow(code("ERR_ABORTED"));
    expect(model.training).toBe(true);
    expect(model.selected).toBe("full");

    const resumed = await new TrialSearcher().search(new FakeModel(), {}, null, { checkpoint });
    const straight = await new TrialSearcher().search(new FakeModel(), {});
    expect(resumed.stateDict).toEqual(straight.stateDict);
  });

  it.each([
    [{ scorFunc: null }, "ERR_UNKNOWN_CONFIG_KEY"],
    [{ trials: "many" }, "ERR_CONFIG_VALUE"],
    [{ forwardLoop: () => {}, dataLoader: [1] }, "ERR_CONFIG_VALUE"],
  ])("refuses config %j", async (config, expectedCode) => {
    const model = new FakeModel();
    await expect(new TrialSearcher().search(model, {}, null, config as object)).rejects.toThrow(
      code(expectedCode),
    );
    expect(model.training).toBe(true);
  });

  it("refuses bad constraints and things that are no model", async () => {
    const searcher = new TrialSearcher();
    await expect(searcher.search(new FakeModel(), { flops: "6O%" as "60%" })).rejects.toThrow(
      code("ERR_CONSTRAINT_VALUE"),
    );
    await expect(searcher.search(new FakeModel(), { flop: "60%" } as object)).rejects.toThrow(
      code("ERR_UNKNOWN_CONSTRAINT"),
    );
    await expect(searcher.search(new FakeModel(), undefined as never)).rejects.toThrow(
      code("ERR_CONSTRAINT_VALUE"),
    );
    for (const nothing of [null, undefined, {}, "model.pt"]) {
      await expect(searcher.search(nothing as never, {})).rejects.toThrow(
        code("ERR_ARGUMENT", /Module or SearchSpace/),
      );
    }
  });

  it("reports events", async () => {
    const events: ProgressEvent[] = [];
    await new TrialSearcher().search(new FakeModel(), {}, null, {
      trials: 2,
      onProgress: (event) => events.push(event),
    });
    expect(events).toEqual([
      { phase: "trials", done: 1, total: 2, message: "trial" },
      { phase: "trials", done: 2, total: 2, message: "trial" },
    ]);
  });
});

describe("evalScore", () => {
  async function scored(scoreFunc: unknown): Promise<number> {
    const searcher = new TrialSearcher();
    searcher.model = new FakeModel();
    searcher.config = searcher.sanitizeSearchConfig({ scoreFunc: scoreFunc as () => number });
    return await searcher.evalScore();
  }

  it("awaits numbers and hands over the model and a context", async () => {
    expect(await scored(() => 0.5)).toBe(0.5);
    expect(await scored(async () => -3)).toBe(-3);
    let seen: unknown[] = [];
    await scored((...args: unknown[]) => {
      seen = args;
      return 1;
    });
    expect(seen[0]).toBeInstanceOf(FakeModel);
    expect(seen[1]).toEqual({ signal: null, onProgress: null, silent: true });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, undefined, null, "0.5", 1n])(
    "refuses %s",
    async (value) => {
      await expect(scored(() => value)).rejects.toThrow(code("ERR_SCORE_NAN"));
    },
  );

  it("wraps what the score function throws, and keeps its own errors", async () => {
    const cause = new RangeError("boom");
    const failed = scored(() => {
      throw cause;
    });
    await expect(failed).rejects.toThrow(code("ERR_SCORE_FAILED", /boom/));
    await expect(failed).rejects.toHaveProperty("cause", cause);
    const own = new TorchSearchError("ERR_CLOSED", "closed");
    await expect(scored(() => Promise.reject(own))).rejects.toBe(own);
    await expect(scored(null)).rejects.toThrow(code("ERR_NO_SCORE"));
  });
});

describe("checkpoints of a search", () => {
  it("resume with the same best as a search that was never interrupted, wherever it broke off", async () => {
    const straight = await new TrialSearcher().search(new FakeModel(), {}, null, { seed: 7 });
    for (let stop = 1; stop <= 10; stop++) {
      const checkpoint = path.join(folder, `stop-${stop}.safetensors`);
      const broken = new TrialSearcher();
      broken.afterTrial = (trial) => {
        if (trial === stop) throw new Error("power cut");
      };
      await expect(broken.search(new FakeModel(), {}, null, { checkpoint, seed: 7 })).rejects.toThrow(
        "power cut",
      );
      const resumed = new TrialSearcher();
      const { stateDict } = await resumed.search(new FakeModel(), {}, null, { checkpoint, seed: 7 });
      expect(stateDict).toEqual(straight.stateDict);
    }
  });

  it("are refused for another model, other keys, a newer version, damage", async () => {
    const checkpoint = path.join(folder, "state.safetensors");
    await new TrialSearcher().search(new FakeModel("model A"), {}, null, { checkpoint });
    const intact = readFileSync(checkpoint);
    const again = (model = new FakeModel("model A")) =>
      new TrialSearcher().search(model, {}, null, { checkpoint });

    await expect(again(new FakeModel("model B"))).rejects.toThrow(
      code("ERR_CHECKPOINT_MODEL", /another model/),
    );

    class OtherKeys extends BaseSearcher {
      override get defaultSearchConfig() {
        return { ...super.defaultSearchConfig, verbose: false };
      }
      get defaultStateDict() {
        return { best: null, sensitivity: [] };
      }
      runSearch(): void {}
    }
    await expect(new OtherKeys().search(new FakeModel("model A"), {}, null, { checkpoint })).rejects.toThrow(
      code("ERR_CHECKPOINT_KEYS", /TrialSearcher.*lacks sensitivity.*history too many/),
    );

    const newer = Buffer.from(
      intact.toString("latin1").replace('"format_version":"1"', '"format_version":"2"'),
      "latin1",
    );
    writeFileSync(checkpoint, newer);
    await expect(again()).rejects.toThrow(code("ERR_CHECKPOINT_VERSION", /format version 2/));

    for (const damaged of [
      Buffer.alloc(0),
      intact.subarray(0, 40),
      intact.subarray(0, intact.length - 1),
      Buffer.from("PK"),
    ]) {
      writeFileSync(checkpoint, damaged);
      await expect(again()).rejects.toThrow(code("ERR_CHECKPOINT_CORRUPT"));
      expect(readFileSync(checkpoint)).toEqual(damaged); // what was there is not touched
    }
    writeFileSync(checkpoint, intact);
    await expect(again()).resolves.toBeDefined();
  });

  it("fail before the search starts where the path can't be written", async () => {
    const file = path.join(folder, "file");
    writeFileSync(file, "precious");
    for (const checkpoint of [
      path.join(file, "state.safetensors"),
      path.join(file, path.sep),
      path.join(file, "deeper"),
      path.join(folder, "\0"),
    ]) {
      const searcher = new TrialSearcher();
      await expect(searcher.search(new FakeModel(), {}, null, { checkpoint })).rejects.toThrow(
        code("ERR_CHECKPOINT_WRITE"),
      );
      expect(searcher.steps).toEqual([]);
    }
    expect(readFileSync(file, "utf8")).toBe("precious");
  });

  it("make missing folders, and leave no temporary files", async () => {
    const { readdirSync } = await import("node:fs");
    const checkpoint = path.join(folder, "a/b/state.safetensors");
    await new TrialSearcher().search(new FakeModel(), {}, null, { checkpoint });
    expect(readdirSync(path.dirname(checkpoint))).toEqual(["state.safetensors"]);
  });

  it("are written by rank 0 only", async () => {
    vi.stubEnv("WORLD_SIZE", "2");
    vi.stubEnv("RANK", "1");
    const checkpoint = path.join(folder, "state.safetensors");
    await new TrialSearcher().search(new FakeModel(), {}, null, { checkpoint, trials: 1 });
    const { existsSync } = await import("node:fs");
    expect(existsSync(checkpoint)).toBe(false);
    vi.unstubAllEnvs();
  });
});

describe("before the first search", () => {
  it("config and state are the defaults; there is no model", async () => {
    const searcher = new TrialSearcher();
    expect(searcher.config.trials).toBe(10);
    expect(searcher.stateDict()).toEqual({ best: null, history: [] });
    expect(searcher.hasScore).toBe(false);
    expect(() => searcher.model).toThrow(code("ERR_NO_MODEL"));
    expect(await searcher.loadSearchCheckpoint()).toBe(false);
  });
});
