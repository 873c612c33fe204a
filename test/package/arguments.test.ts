/**
 * Whatever a program in plain JavaScript passes, a public function answers with a `TorchSearchError` or a result: each
 * argument of each call in turn is replaced by values that no call wants, and everything that is exported without a call
 * in the table is called with such values alone.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import * as library from "../../lib";
import { type ReportData, readReportData } from "../../lib/entries/report";
import type { SearchTools, Sensitivity } from "../../lib/entries/search";
import * as parts from "../../lib/entries/search";
import { ENTRY_POINTS } from "../support/entry-points";
import { root } from "../support/zoo";

const { Module, Tensor, TensorDataLoader, TorchSearchError } = library;
const FIXTURES = path.join(root, "test", "fixtures");
const home = process.cwd();
const scratch = mkdtempSync(path.join(os.tmpdir(), "torchsearch-arguments-"));
const threads = library.getThreads();
beforeAll(() => process.chdir(scratch)); // some of the values are names of files
afterAll(() => {
  process.chdir(home);
  library.setThreads(threads);
  rmSync(scratch, { recursive: true, force: true });
});

type Call = { on?: unknown; args: unknown[] };
type Make = () => Call | Promise<Call>;

/** Made once, and again after something closed it. */
function kept<T extends { closed?: boolean }>(make: () => T | Promise<T>): () => Promise<T> {
  let made: T | undefined;
  return async () => {
    if (made === undefined || made.closed) made = await make();
    return made;
  };
}

const image = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const load = kept(() => Module.load(path.join(FIXTURES, "digits_cnn.pt")));
const loader = () =>
  TensorDataLoader.fromTensors(
    [
      Tensor.from(
        Float32Array.from({ length: 512 }, (_, i) => (i % 17) / 17),
        [8, 1, 8, 8],
      ),
      Tensor.from(BigInt64Array.from({ length: 8 }, (_, i) => BigInt(i % 10))),
    ],
    { batchSize: 4 },
  );
const space = kept(async () => library.convert(await load(), "fastnas", image(), { importance: "none" }));
const formats = kept(async () => library.convert(await load(), "auto_quantize", image()));
const sparse = kept(async () => library.convert(await load(), "sparsegpt", image()));
const latencies = () =>
  new library.LatencyTable({ device: "cpu", threads: 1, torch: "2.13.0", hardware: "any" }).add(
    "aten::relu(4)",
    [4],
    0.5,
  );
const npz = path.join(FIXTURES, "digits.npz");
const quiet = { verbose: false };

/** Calls that work, by name: `Class.method` for static ones, `Class#method` for those of an object. */
const CALLS: Record<string, Make> = {
  readCheckpoint: () => ({ args: ["none.safetensors"] }),
  crossEntropy: () => ({ args: [loader(), {}] }),
  klDivergence: async () => ({ args: [loader(), await load(), {}] }),
  meanSquaredError: () => ({ args: [loader(), {}] }),
  topKAccuracy: () => ({ args: [loader(), {}] }),
  customLoss: () => ({ args: [loader(), () => 1, {}] }),
  finetune: async () => ({ args: [await load(), loader(), { steps: 1 }] }),
  trainSupernet: async () => ({ args: [await space(), loader(), { steps: 1 }] }),
  convert: async () => ({ args: [await load(), "fastnas", image(), {}] }),
  search: async () => ({
    args: [await space(), { flops: "90%" }, image(), { ...quiet, scoreFunc: () => 1, maxChoices: 1 }],
  }),
  profile: async () => ({ args: [await load(), image(), { metrics: ["macs"] }] }),
  prunability: async () => ({ args: [await space(), await load()] }),
  writeReport: () => ({ args: ["none.safetensors", { output: "report.html" }] }),
  formatProfile: async () => ({
    args: [await library.profile(await load(), image(), { metrics: ["macs"] }), {}],
  }),
  setThreads: () => ({ args: [1] }),
  initialize: () => ({ args: [] }),
  "Module.load": () => ({ args: [path.join(FIXTURES, "digits_cnn.pt"), {}] }),
  "Tensor.from": () => ({ args: [new Float32Array(4), [2, 2], {}] }),
  "TensorDataLoader.fromTensors": () => ({ args: [[image()], { batchSize: 1 }] }),
  "TensorDataLoader.fromNpz": () => ({ args: [npz, { keys: ["train_images"], batchSize: 64 }] }),
  "TensorDataLoader.fromNpy": () => ({ args: [[npz], { batchSize: 1 }] }),
  "TensorDataLoader.fromSafetensors": () => ({ args: [npz, { batchSize: 1 }] }),
  "ImageFolderLoader.open": () => ({ args: [path.join(FIXTURES, "images"), { batchSize: 1 }] }),
  "Module#forward": async () => ({ on: await load(), args: [image(), {}] }),
  "Module#forwardWith": async () => ({ on: await load(), args: [[image()], {}, {}] }),
  "Module#save": async () => ({ on: await load(), args: ["saved.pt", {}] }),
  "Module#to": async () => ({ on: await load(), args: ["cpu", {}] }),
  "SearchSpace#select": async () => ({ on: await space(), args: [{}] }),
  "SearchSpace#cost": async () => {
    const on = await space();
    return { on, args: [on.fullConfig, "flops"] };
  },
  "SearchSpace#costs": async () => {
    const on = await space();
    return { on, args: [on.fullConfig] };
  },
  "SearchSpace#sample": async () => ({ on: await space(), args: [new library.Random(1)] }),
  "SearchSpace#recalibrate": async () => ({ on: await space(), args: [() => undefined, {}] }),
  "SearchSpace#forward": async () => ({ on: await space(), args: [image()] }),
  "SearchSpace#forwardWith": async () => ({ on: await space(), args: [[image()], {}, {}] }),
  "QuantizationSpace#calibrate": async () => ({ on: await formats(), args: [loader(), {}] }),
  "LatencyTable.fromJSON": () => ({ args: [latencies().toJSON()] }),
  "BaseSearcher#search": async () => ({
    on: new library.RandomSearcher(),
    args: [await space(), { flops: "90%" }, image(), { ...quiet, scoreFunc: () => 1, numIters: 1 }],
  }),
};

/** What a searcher lends to the parts that it is made of. */
async function tools(): Promise<SearchTools> {
  const on = await space();
  return {
    space: on,
    bounds: { flops: 1e9 },
    random: new library.Random(1),
    signal: null,
    score: async () => 1,
    scoreRecalibrated: async () => null,
    measure: async (config) => ({ config, score: 1, costs: on.costs(config) }),
    fits: () => true,
    save: async () => {},
    report: () => {},
    measureAll: async () => [],
    once: (make) => make(),
    parallel: 1,
    log: () => {},
  };
}

async function sensitivity(): Promise<Record<string, Sensitivity>> {
  const { hyperparameters } = await space();
  return Object.fromEntries(
    hyperparameters.map(({ name, choices }) => [
      name,
      {
        choices: [...choices],
        scores: choices.map(() => 1),
        degradation: choices.map((_, at) => choices.length - at),
      },
    ]),
  );
}

async function measured(): Promise<parts.SensitivitySearchState> {
  return {
    ...parts.sensitivityState(),
    fullScore: 1,
    referenceScore: 1,
    sensitivity: await sensitivity(),
  };
}

/** The parts of searches, for authors of searchers; and what reports and exports are made of. */
const PARTS: Record<string, Make> = {
  boundedCosts: async () => ({ args: [await space(), (await space()).fullConfig, { flops: 1e9 }] }),
  budgetUse: async () => ({ args: [await space(), (await space()).fullConfig, { flops: 1e9 }] }),
  sampleWithin: async () => ({ args: [await space(), { flops: 1e9 }, 0, new library.Random(1)] }),
  fitWithin: async () => ({
    args: [await space(), (await space()).fullConfig, { flops: 1e9 }, 0, new library.Random(1)],
  }),
  mutate: async () => ({ args: [await space(), (await space()).fullConfig, 0.5, new library.Random(1)] }),
  crossover: async () => {
    const { fullConfig, smallestConfig } = await space();
    return { args: [fullConfig, smallestConfig, new library.Random(1)] };
  },
  subnetsOf: () => ({
    args: [{ names: ["a"], widths: new Int32Array(1), scores: new Float64Array(1), costs: {} }],
  }),
  bisect: async () => {
    const { hyperparameters, fullConfig } = await space();
    return { args: [hyperparameters, await sensitivity(), fullConfig, () => true] };
  },
  grow: async () => ({
    args: [await space(), await sensitivity(), (await space()).smallestConfig, { flops: 1 }, null],
  }),
  scoreFullModel: async () => ({ args: [await tools(), parts.sensitivityState()] }),
  measureSensitivity: async () => ({ args: [await tools(), await measured(), parts.SENSITIVITY_DEFAULTS] }),
  consider: async () => ({
    args: [await tools(), await measured(), "grown", (await space()).fullConfig, { done: 1, total: 2 }],
  }),
  iterate: async () => {
    const lent = await tools();
    const trials = new parts.Trials(lent, parts.iterativeState());
    const sampler = { propose: () => lent.space.fullConfig };
    return { args: [lent, trials, sampler, { ...parts.ITERATIVE_DEFAULTS, numIters: 1, checkpoint: null }] };
  },
  formatView: () => ({
    args: [
      { phase: "a", done: 1, total: 2, best: null, budgets: { flops: 0.5 }, rate: 1, left: null },
      80,
      "",
    ],
  }),
  renderReport: async () => ({ args: [await reportData()] }),
  recordExport: async () => ({ args: [await load(), await space(), { a: 1 }, null] }),
};

let reported: Promise<ReportData> | undefined;
function reportData(): Promise<ReportData> {
  reported ??= (async () => {
    const checkpoint = path.join(scratch, "reported.safetensors");
    const config = { ...quiet, scoreFunc: () => 1, numIters: 2, checkpoint };
    await new library.RandomSearcher().search(await space(), { flops: "90%" }, image(), config);
    return readReportData(checkpoint);
  })();
  return reported;
}
Object.assign(CALLS, PARTS);

/** Calls that compute for long with some of the values get a few of them. */
const COSTLY =
  /^(search|finetune|trainSupernet|convert|exportModel|profile)$|#(search|calibrate|recalibrate|export|close)$/;
const FEW = [
  "null",
  "{}",
  "NaN",
  "a record with the key __proto__",
  "a circle",
  "a detached array",
  "a closed Module",
];

/** They measure for seconds whatever is given, and check their options as `SearchSpace#recalibrate` does. */
const SLOW = new Set(["SearchSpace#measureLatency", "SearchSpace#latencyError"]);

/** An object of each exported class. */
const OBJECTS: Record<string, () => unknown> = {
  Module: load,
  Tensor: image,
  TensorDataLoader: loader,
  ImageFolderLoader: () => library.ImageFolderLoader.open(path.join(FIXTURES, "images"), { batchSize: 1 }),
  LatencyTable: latencies,
  SearchSpace: space,
  QuantizationSpace: formats,
  SparseSpace: sparse,
  Random: () => new library.Random(1),
};

const detached = new Float32Array(4);
structuredClone(detached.buffer, { transfer: [detached.buffer] });
const circle: unknown[] = [];
circle.push(circle);
let closed: unknown[] = [];
beforeAll(async () => {
  closed = [image(), await load(), await space(), await formats(), loader()];
  for (const each of closed as { close(): void }[]) each.close();
});

const unwanted = (): [string, unknown][] => [
  ["null", null],
  ["undefined", undefined],
  ["{}", {}],
  ["[]", []],
  ["[null]", [null]],
  ["NaN", Number.NaN],
  ["-1", -1],
  ["1e300", 1e300],
  ["1n", 1n],
  ["true", true],
  ["an empty string", ""],
  ["a string", "__proto__"],
  ["a text with a zero", "a\0b"],
  ["a symbol", Symbol("s")],
  ["a function", () => null],
  ["a record with the key __proto__", JSON.parse('{"__proto__":{"a":1}}')],
  ["a record with null", { signal: null, batchSize: null, dtype: null, a: null }],
  ["a record with NaN", { flops: Number.NaN, batchSize: Number.NaN, steps: Number.NaN }],
  ["nested arrays", [[[{}]]]],
  ["a circle", circle],
  ["no prototype", Object.create(null)],
  ["a date", new Date(0)],
  ["a detached array", detached],
  ["a BigInt64Array", new BigInt64Array(3)],
  ...closed.map((each): [string, unknown] => [`a closed ${(each as object).constructor.name}`, each]),
];

const isClass = (value: unknown): value is new (...args: unknown[]) => unknown =>
  typeof value === "function" && /^class\b/.test(Function.prototype.toString.call(value));

/** Members that TypeScript hides from programs. */
const hidden = new Set(["constructor", "wrap", "native", "abstractMembers"]);
for (const file of readdirSync(path.join(root, "lib"), { recursive: true, encoding: "utf8" })) {
  if (!file.endsWith(".ts")) continue;
  const text = readFileSync(path.join(root, "lib", file), "utf8");
  const members = [
    /\bprotected\s+(?:(?:override|abstract|readonly|async|static|get|set)\s+)*(\w+)/g,
    /@internal(?:(?!\*\/)[\s\S])*\*\/\s+(?:(?:override|readonly|async|static|get|set)\s+)*(\w+)/g,
  ];
  for (const member of members) for (const [, name] of text.matchAll(member)) hidden.add(name as string);
}
// Hooks that subclasses override and `search` calls.
for (const name of ["beforeSearch", "runSearch", "afterSearch", "resetSearch"]) hidden.add(name);

/** What the call made of its arguments: null for a result or a coded error, else what went wrong. */
async function faultOf(run: () => unknown): Promise<string | null> {
  try {
    const result = run();
    const late = new Promise((resolve) => setTimeout(resolve, 20_000, "late").unref());
    if ((await Promise.race([result, late])) === "late") return "doesn't end";
    return null;
  } catch (error) {
    if (error instanceof TorchSearchError && /^ERR_[A-Z_]+$/.test(error.code) && error.message) return null;
    return error instanceof Error ? `${error.stack?.split("\n").slice(0, 3).join(" ")}` : String(error);
  }
}

const exported = new Map<unknown, string>();
for (const file of ENTRY_POINTS.values()) {
  const entry: Record<string, unknown> = await import(file);
  for (const [name, value] of Object.entries(entry)) {
    if (typeof value === "function" && !exported.has(value)) exported.set(value, name);
  }
}

interface Target {
  name: string;
  call(on: unknown, args: unknown[]): unknown;
  make: Make;
  known: boolean;
}

/** Everything that can be called: functions, constructors, static methods, methods, accessors. */
function targets(): Target[] {
  const found: Target[] = [];
  for (const [value, name] of exported) {
    if (!isClass(value)) {
      const fn = value as (...args: unknown[]) => unknown;
      const make = CALLS[name] ?? (() => ({ args: Array.from({ length: fn.length }, () => undefined) }));
      found.push({ name, make, known: name in CALLS, call: (_, args) => fn(...args) });
      continue;
    }
    for (const key of Object.getOwnPropertyNames(value)) {
      const method = (value as unknown as Record<string, unknown>)[key];
      if (hidden.has(key) || typeof method !== "function") continue;
      const full = `${name}.${key}`;
      const make = CALLS[full] ?? (() => ({ args: Array.from({ length: method.length }, () => undefined) }));
      found.push({ name: full, make, known: full in CALLS, call: (_, args) => method.apply(value, args) });
    }
    const object = OBJECTS[name] ?? (name.endsWith("Searcher") && value.length === 0 && makesObjects(value));
    if (!object) continue;
    const keys = new Set<string>();
    for (
      let at = value.prototype as object;
      at !== Object.prototype;
      at = Object.getPrototypeOf(at) as object
    ) {
      for (const key of Object.getOwnPropertyNames(at)) if (!hidden.has(key)) keys.add(key);
    }
    for (const key of keys) {
      const full = `${name}#${key}`;
      if (/Searcher$/.test(name) && key === "search" && name !== "RandomSearcher") continue;
      const given = CALLS[full] ?? (key === "search" ? CALLS["BaseSearcher#search"] : undefined);
      const make = given ?? (async () => ({ on: await object(), args: [undefined, undefined, undefined] }));
      if (SLOW.has(full)) continue;
      const call = (on: unknown, args: unknown[]) => {
        const member = (on as Record<string, unknown>)[key];
        return typeof member === "function" ? member.apply(on, args) : member;
      };
      found.push({ name: full, make, known: given !== undefined, call });
    }
  }
  return found;
}

function makesObjects(Searcher: new () => unknown): (() => unknown) | null {
  try {
    new Searcher();
  } catch {
    return null; // an abstract one
  }
  return () => new Searcher();
}

describe("public calls with arguments that no call wants", () => {
  it.each(targets())(
    "$name",
    async ({ name, make, known, call }) => {
      const faults: string[] = [];
      const values = unwanted().filter(([what]) => !COSTLY.test(name) || FEW.includes(what));
      if (known) {
        const { on, args } = await make();
        const length = Math.max(args.length, 1);
        for (let at = 0; at < length; at++) {
          for (const [what, value] of values) {
            const fresh = await make();
            fresh.args[at] = value;
            const fault = await faultOf(() => call(fresh.on ?? on, fresh.args));
            if (fault !== null) faults.push(`${name}, argument ${at} is ${what}: ${fault}`);
          }
        }
      } else {
        for (const [what, value] of values) {
          const { on, args } = await make();
          const fault = await faultOf(() => call(on, args.length === 0 ? [value] : args.map(() => value)));
          if (fault !== null) faults.push(`${name}, all arguments are ${what}: ${fault}`);
        }
      }
      expect(faults).toEqual([]);
    },
    120_000,
  );

  it.each(Object.entries(PARTS))("%s works with what it wants", async (name, make) => {
    const { args } = await make();
    const [fn] = [...exported].find(([, each]) => each === name) as [(...args: unknown[]) => unknown, string];
    await fn(...args);
  });

  it("says what is wrong in the parts of an argument", async () => {
    const { fullConfig } = await space();
    const random = new library.Random(1);
    const wrong: (() => unknown)[] = [
      () => parts.mutate({ hyperparameters: [null] } as never, fullConfig, 0.5, random),
      () => parts.mutate({ hyperparameters: [{ name: "a", choices: [] }] } as never, { a: 1 }, 0.5, random),
      () => parts.crossover({ a: 1 }, {}, random),
      () => parts.crossover({ a: 1 }, JSON.parse('{"__proto__":{"a":1}}'), random),
      () => parts.bisect([{ name: "a", choices: [1, 2] }] as never, { a: null } as never, {}, () => true),
      () => parts.subnetsOf({ names: ["a"], widths: [1, 2], scores: [1], costs: {} } as never),
      () =>
        parts.formatView(
          { phase: "a", done: 1, total: null, best: null, budgets: { flops: "1" } } as never,
          80,
        ),
      async () =>
        parts.iterate({ ...(await tools()), random: {} } as never, null as never, null as never, {} as never),
      async () =>
        parts.measureSensitivity(await tools(), { sensitivity: null } as never, { maxChoices: 1 } as never),
      async () =>
        parts.scoreFullModel(
          { ...(await tools()), bounds: { flops: "1" } } as never,
          parts.sensitivityState(),
        ),
      async () => library.formatProfile({ operators: [null] } as never),
    ];
    for (const call of wrong) {
      const error = await Promise.resolve()
        .then(call)
        .then(
          () => null,
          (thrown) => thrown,
        );
      expect(error, String(call)).toBeInstanceOf(TorchSearchError);
    }
  });
});
