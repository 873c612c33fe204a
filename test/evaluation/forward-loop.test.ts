import { describe, expect, it, vi } from "vitest";
import type { ConstructForwardLoopOptions } from "../../lib/contract/construct-forward-loop";
import { TorchSearchError } from "../../lib/errors";
import type { SearchModel } from "../../lib/evaluation/types";
import type { ProgressEvent } from "../../lib/util/progress";
import { FakeModel, type TrialConfig, TrialSearcher } from "../contract/doubles";

const code = (value: string): Error => expect.objectContaining({ code: value }) as Error;

/** Runs the forward loop that a config and options give, and tells what the model was called with. */
async function calls(
  config: Partial<TrialConfig>,
  options?: ConstructForwardLoopOptions,
  model = new FakeModel(),
): Promise<unknown[][]> {
  const searcher = new TrialSearcher();
  searcher.config = searcher.sanitizeSearchConfig(config);
  const loop = searcher.constructForwardLoop(options);
  expect(loop).not.toBeNull();
  await loop?.(model as SearchModel);
  return model.calls;
}

async function* asyncBatches(): AsyncGenerator<number[]> {
  for (const value of [1, 2, 3]) yield [value, -value];
}

describe("constructForwardLoop", () => {
  it("is null without data", () => {
    expect(new TrialSearcher().constructForwardLoop()).toBeNull();
  });

  it("walks arrays, iterables, async iterables, and functions that return one; takes the first element", async () => {
    const batches = [
      [1, -1],
      [2, -2],
      [3, -3],
    ];
    const sources = [
      batches,
      new Set(batches),
      { [Symbol.iterator]: () => batches.values() },
      { [Symbol.asyncIterator]: asyncBatches },
      asyncBatches,
      asyncBatches(),
      async () => batches,
      batches.map((batch) => Promise.resolve(batch)),
      batches.map(([x, y]) => ({ x, y })),
      [1, 2, 3],
    ];
    for (const dataLoader of sources) expect(await calls({ dataLoader })).toEqual([[1], [2], [3]]);
  });

  it("reads inputs by the convention of torch.onnx.export", async () => {
    const input = async (value: unknown) => (await calls({ dataLoader: [[0]], collectFunc: () => value }))[0];
    expect(await input(5)).toEqual([5]);
    expect(await input([5, 6])).toEqual([5, 6]);
    expect(await input([5, { mask: 6 }])).toEqual([5, { mask: 6 }]);
    expect(await input([5, { last: "positional" }, {}])).toEqual([5, { last: "positional" }, {}]);
    expect(await input({ only: "positional" })).toEqual([{ only: "positional" }, {}]);
    expect(await input([5, {}])).toEqual([5]);
    expect(await input([[5, 6]])).toEqual([[5, 6]]);
  });

  it("stops at the config's maxIterDataLoader, or at its own; never asks for a batch too many", async () => {
    let asked = 0;
    const dataLoader = function* () {
      for (;;) {
        asked += 1;
        yield [asked];
      }
    };
    expect(await calls({ dataLoader, maxIterDataLoader: 2 })).toHaveLength(2);
    expect(asked).toBe(2);
    expect(await calls({ dataLoader, maxIterDataLoader: 2 }, { maxIterDataLoader: 3 })).toHaveLength(3);
    expect(asked).toBe(5);
    for (const bad of [0, 1.5, -1, "3"]) {
      const searcher = new TrialSearcher();
      searcher.config = searcher.sanitizeSearchConfig({ dataLoader });
      expect(() => searcher.constructForwardLoop({ maxIterDataLoader: bad as number })).toThrow(
        code("ERR_CONFIG_VALUE"),
      );
    }
  });

  it("hands output and batch to postProcessFn, and awaits it", async () => {
    const seen: unknown[] = [];
    await calls(
      {
        dataLoader: [
          [1, "a"],
          [2, "b"],
        ],
      },
      {
        postProcessFn: async (output, batch) => {
          await Promise.resolve();
          seen.push([output, batch]);
        },
      },
    );
    expect(seen).toEqual([
      [2, [1, "a"]],
      [4, [2, "b"]],
    ]);
    const searcher = new TrialSearcher();
    expect(() => searcher.constructForwardLoop({ postProcessFn: 1 as never })).toThrow(
      code("ERR_CONFIG_VALUE"),
    );
  });

  it("tells the iterator when it stops early, also after an error", async () => {
    let closed = 0;
    const dataLoader = function* () {
      try {
        for (let i = 0; ; i++) yield [i];
      } finally {
        closed += 1;
      }
    };
    await calls({ dataLoader, maxIterDataLoader: 1 });
    expect(closed).toBe(1);
    const model = new FakeModel();
    model.forward = () => Promise.reject(new TorchSearchError("ERR_FORWARD", "no"));
    await expect(calls({ dataLoader }, {}, model)).rejects.toThrow(code("ERR_FORWARD"));
    expect(closed).toBe(2);
  });

  it("refuses an empty loader, and a generator that was walked before", async () => {
    await expect(calls({ dataLoader: [] })).rejects.toThrow(code("ERR_EMPTY_LOADER"));
    await expect(calls({ dataLoader: async () => [] })).rejects.toThrow(code("ERR_EMPTY_LOADER"));
    const generator = asyncBatches();
    await calls({ dataLoader: generator });
    await expect(calls({ dataLoader: generator })).rejects.toThrow(code("ERR_LOADER_ONE_SHOT"));
    await expect(calls({ dataLoader: () => generator })).rejects.toThrow(code("ERR_LOADER_ONE_SHOT"));
  });

  it("wraps what the loader throws, and refuses a function that returns no iterable", async () => {
    const cause = new Error("disk gone");
    const dataLoader = function* () {
      yield [1];
      throw cause;
    };
    const failed = calls({ dataLoader });
    await expect(failed).rejects.toThrow(code("ERR_LOADER_FAILED"));
    await expect(failed).rejects.toMatchObject({
      cause,
      message: expect.stringContaining("batch 1: disk gone") as string,
    });
    await expect(calls({ dataLoader: (() => 5) as never })).rejects.toThrow(code("ERR_LOADER_FAILED"));
    await expect(calls({ dataLoader: [[]] })).rejects.toThrow(code("ERR_BATCH"));
  });

  it("stops within one batch when aborted", async () => {
    const controller = new AbortController();
    const model = new FakeModel();
    const dataLoader = function* () {
      for (let i = 0; ; i++) {
        if (i === 3) controller.abort();
        yield [i];
      }
    };
    await expect(calls({ dataLoader, signal: controller.signal }, {}, model)).rejects.toThrow(
      code("ERR_ABORTED"),
    );
    expect(model.calls).toHaveLength(3);
  });

  it("sends an event a batch", async () => {
    const events: ProgressEvent[] = [];
    await calls(
      { dataLoader: [[1], [2], [3]], maxIterDataLoader: 2, onProgress: (event) => events.push(event) },
      { progressBarMsg: "Calibrating" },
    );
    expect(events).toEqual([
      { phase: "forward", done: 1, total: 2, message: "Calibrating" },
      { phase: "forward", done: 2, total: 2, message: "Calibrating" },
    ]);
  });

  it("draws a bar with its message on a terminal's standard error, and none when silent or without a message", async () => {
    const drawn = async (options: ConstructForwardLoopOptions): Promise<string> => {
      const chunks: string[] = [];
      const { isTTY } = process.stderr;
      process.stderr.isTTY = true;
      // A build server's own environment would keep bars away.
      vi.stubEnv("CI", undefined);
      vi.stubEnv("TERM", "xterm");
      vi.spyOn(process.stderr, "write").mockImplementation((chunk) => chunks.push(String(chunk)) > 0);
      try {
        await calls({ dataLoader: [[1], [2]] }, options);
      } finally {
        process.stderr.isTTY = isTTY;
        vi.unstubAllEnvs();
        vi.restoreAllMocks();
      }
      return chunks.join("");
    };
    expect(await drawn({ silent: false, progressBarMsg: "Calibrating" })).toMatch(/Calibrating.*2\/2/s);
    expect(await drawn({ silent: true, progressBarMsg: "Calibrating" })).toBe("");
    expect(await drawn({ silent: false })).toBe("");
  });

  it("runs the user's forwardLoop with the model and a context, and wraps what it throws", async () => {
    const model = new FakeModel();
    const forwardLoop = vi.fn(async (m: SearchModel) => {
      await m.forward(9);
    });
    expect(await calls({ forwardLoop }, {}, model)).toEqual([[9]]);
    expect(forwardLoop.mock.calls[0]).toEqual([model, { signal: null, onProgress: null, silent: true }]);
    const cause = new Error("oops");
    const failed = calls({
      forwardLoop: () => {
        throw cause;
      },
    });
    await expect(failed).rejects.toMatchObject({ code: "ERR_FORWARD_LOOP_FAILED", cause });
  });

  it("refuses to choose between forwardLoop and dataLoader", () => {
    const searcher = new TrialSearcher();
    searcher.config = { ...searcher.config, dataLoader: [1], forwardLoop: () => {} };
    expect(() => searcher.constructForwardLoop()).toThrow(code("ERR_CONFIG_VALUE"));
  });
});
