/**
 * What compiles and what doesn't. The lint check of types reads this file against lib/, and entry.test.ts as a consumer of
 * the package. It is never run.
 */
import {
  BinarySearcher,
  type Constraints,
  convert,
  EvolveSearcher,
  type Module,
  registerMode,
  type SearchSpace,
  search,
  type Tensor,
  TensorDataLoader,
} from "../../lib";
import { findMode } from "../../lib/entries/mode";

declare const module: Module;
declare const x: Tensor;
declare const scoreFunc: () => number;

export async function modes(): Promise<void> {
  await convert(module, "fastnas", x);
  await convert(module, "fastnas", x, null);
  await convert(module, "autonas", x, { channelDivisor: 8, importance: "taylor", loss: "crossEntropy" });
  await convert(module, "auto_quantize", x, { formats: ["int8"], exclude: [/head/] });
  await convert(module, "sparsegpt", x, { pattern: "2:4", skipFirst: true });
  // @ts-expect-error a typo in the mode's name
  await convert(module, "fastna", x);
  // @ts-expect-error a typo in a key
  await convert(module, "fastnas", x, { channelDivider: 8 });
  // @ts-expect-error a typo in a value
  await convert(module, "fastnas", x, { importance: "taylr" });
  // @ts-expect-error a key of another mode
  await convert(module, "sparse_magnitude", x, { channelDivisor: 8 });
  // @ts-expect-error the number of a divisor, as text
  await convert(module, "fastnas", x, { channelDivisor: "8" });
  const name: string = "fastnas";
  // @ts-expect-error a name that is known at run time only goes through its descriptor
  await convert(module, name, x);
  (await convert(module, findMode(name), x, { anything: 1 })).close();
}

export async function spaces(): Promise<void> {
  const widths = await convert(module, "fastnas", x);
  const mode: "fastnas" = widths.mode;
  const plain: SearchSpace = widths;
  plain.cost(plain.fullConfig, "memory");
  // @ts-expect-error a typo in a metric
  widths.cost(widths.fullConfig, "flop");
  const formats = await convert(module, "auto_quantize", x);
  formats.cost(formats.fullConfig, "effectiveBits");
  // @ts-expect-error a metric of other spaces
  formats.cost(formats.fullConfig, "flops");
  console.log(mode);
}

export async function constraints(space: SearchSpace): Promise<void> {
  const searcher = new BinarySearcher();
  const nested: Constraints = {
    latency: { p95: 3, p50: null },
    flops: "60%",
    params: null,
    size: [null, "50.5%"],
  };
  await searcher.search(space, nested);
  await searcher.search(space, { flops: "60%", params: 350_000, macs: null, latency: { p95: "60%" } });
  await search(space, nested);
  // @ts-expect-error a typo in a metric
  await searcher.search(space, { flop: "60%" });
  // @ts-expect-error a percentage without its sign
  await searcher.search(space, { flops: "60" });
  // @ts-expect-error a letter for a digit
  await searcher.search(space, { flops: "6O%" });
  // @ts-expect-error the same, nested
  await searcher.search(space, { latency: { p95: "60" } });
  // @ts-expect-error neither a number nor a percentage
  await searcher.search(space, { flops: true });
  // @ts-expect-error a typo in a metric
  const mistyped: Constraints = { flop: "60%" };
  const widths = await convert(module, "fastnas", x);
  // @ts-expect-error a typo in a metric
  await search(widths, { flop: "60%" });
  // @ts-expect-error a percentage without its sign
  await search(widths, { flops: "60" });
  const formats = await convert(module, "auto_quantize", x);
  await search(formats, { effectiveBits: 6, size: "30%" });
  // @ts-expect-error formats do not change it
  await search(formats, { flops: "60%" });
  console.log(mistyped);
}

export async function metricsOfOnesOwn(space: SearchSpace): Promise<void> {
  const priced = space.addMetric("energy", () => 1).addMetric("price", () => 2);
  priced.cost({}, "energy");
  await new BinarySearcher().search(priced, { flops: "60%", energy: "70%", price: 3 });
  await search(priced, { energy: "70%" });
  // @ts-expect-error a typo in its name
  await new BinarySearcher().search(priced, { enrgy: "70%" });
  // @ts-expect-error a typo in its name
  priced.cost({}, "enrgy");
  const kept = (await convert(module, "autonas", x)).addMetric("energy", () => 1);
  await search(kept, { energy: "70%" }, x, { populationSize: 20 });
  // @ts-expect-error not a metric of this space, as far as its type says
  await search(space, { energy: "70%" });
  // Where the type does not say it, the constraints may.
  const bounds: Constraints<"energy"> = { flops: "60%", energy: "70%" };
  await search(space, bounds);
}

export async function searchers(): Promise<void> {
  const widths = await convert(module, "fastnas", x);
  await search(widths, {}, x, { scoreFunc, checkpoint: "search.safetensors", maxChoices: 2 });
  const found = await search(widths, {}, null, {
    searcher: "pareto",
    populationSize: 8,
    objectives: ["flops"],
  });
  console.log(found.stateDict.best?.costs.flops, found.stateDict.candidates, found.subnet.history);
  await search(await convert(module, "autonas", x), {}, x, { numIters: 100 });
  await search(await convert(module, "auto_quantize", x), {}, x, { sensitivity: "gradient", timeLimit: 9 });
  await search(await convert(module, "sparsegpt", x), {}, x, { searcher: "magnitude", density: 0.5 });
  // @ts-expect-error a typo in a key of every searcher
  await search(widths, {}, x, { scoreFunction: scoreFunc });
  // @ts-expect-error a typo in a key of the default searcher
  await search(widths, {}, x, { maxChoice: 2, scoreFunc });
  // @ts-expect-error a key of another searcher than the mode's default
  await search(widths, {}, x, { numIters: 100, scoreFunc });
  // @ts-expect-error a typo in the searcher's name
  await search(widths, {}, x, { searcher: "binery" });
  // @ts-expect-error a searcher of another mode
  await search(widths, {}, x, { searcher: "magnitude" });
  // @ts-expect-error a typo in a key of the named searcher
  await search(widths, {}, x, { searcher: "random", numIter: 100 });
  // @ts-expect-error a typo in a value
  await search(await convert(module, "auto_quantize", x), {}, x, { sensitivity: "hessian" });
  // @ts-expect-error a typo in a key of the searcher itself
  await new EvolveSearcher().search(widths, {}, x, { populationsize: 8 });
}

export async function modesOfOnesOwn(space: SearchSpace): Promise<void> {
  const mine = registerMode<{ label?: string }, SearchSpace & { readonly mode: "mine" }>({
    name: "mine",
    description: "a mode of one's own",
    defaults: { label: "model" },
    rules: { label: { expected: "a string", accepts: (value) => typeof value === "string" } },
    convert: async () => space as SearchSpace & { readonly mode: "mine" },
    searchers: { binary: BinarySearcher },
    defaultSearcher: "binary",
  });
  const made = await convert(module, mine, x, { label: "a" });
  made.select({});
  // @ts-expect-error a typo in a key
  await convert(module, mine, x, { lable: "a" });
}

export async function batches(): Promise<void> {
  const train = await TensorDataLoader.fromNpz("digits.npz", { keys: ["images", "labels"], batchSize: 8 });
  for (const { images, labels } of train) console.log(images.shape, labels.shape);
  // @ts-expect-error not one of the keys
  for (const { label } of train) console.log(label);
  const first: Tensor = train.batch(0).images;
  // Without keys, the names are those of the file.
  const all = await TensorDataLoader.fromNpz("digits.npz");
  const anything: Tensor | undefined = all.batch(0).whatever;
  const pairs = await TensorDataLoader.fromNpy(["x.npy", "y.npy"]);
  for (const [inputs, targets] of pairs) console.log(inputs?.shape, targets?.shape);
  // @ts-expect-error batches of a list are lists
  console.log(pairs.batch(0).x);
  const named = await TensorDataLoader.fromNpy({ x: "x.npy", y: "y.npy" });
  console.log(named.batch(0).y.shape);
  // @ts-expect-error not one of the names
  console.log(named.batch(0).z);
  const memory = TensorDataLoader.fromTensors({ x, y: x });
  console.log(memory.batch(0).y.shape, TensorDataLoader.fromTensors([x]).batch(0)[0]?.shape);
  // @ts-expect-error not one of the names
  console.log(memory.batch(0).z);
  const loader: TensorDataLoader = train;
  console.log(first, anything, loader.batches);
}

export async function studies(space: SearchSpace): Promise<void> {
  const study = space.study(
    { flops: "60%", params: 1e6 },
    { checkpoint: "s.safetensors", seed: 1, scoreFunc },
  );
  const { config, costs } = await study.ask();
  await study.tell(config, costs.flops);
  await space
    .addMetric("energy", () => 1)
    .study({ energy: "70%" })
    .open();
  // @ts-expect-error a typo in a metric
  space.study({ flop: "60%" });
  // @ts-expect-error a percentage without its sign
  space.study({ flops: "60" });
  // @ts-expect-error a typo in an option
  space.study({}, { sed: 1 });
  // @ts-expect-error a score is a number
  await study.tell(config, "1");
}

export async function samplers(): Promise<void> {
  const widths = await convert(module, "fastnas", x);
  const { stateDict } = await search(widths, { flops: "60%" }, x, {
    searcher: "cmaes",
    initialStep: 0.2,
    scoreFunc,
  });
  console.log(stateDict.distribution?.sigma);
  await search(widths, { flops: "60%" }, x, { searcher: "tpe", goodShare: 0.2, scoreFunc });
  // @ts-expect-error a key of another searcher
  await search(widths, { flops: "60%" }, x, { searcher: "tpe", initialStep: 0.2, scoreFunc });
}
