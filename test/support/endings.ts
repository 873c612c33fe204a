/** Programs that do native work without end, and how a process that runs one of them ended. */
import { spawn } from "node:child_process";
import path from "node:path";

import { packageRoot } from "../../lib/native/paths";
import { bundle } from "./killable";

/** The library as one file in a folder within the checkout: a process that uses it starts sooner. Its path. */
export async function bundleLibrary(folder: string): Promise<string> {
  const outfile = path.join(folder, "library.cjs");
  const external = ["bindings", "highs", "sharp"];
  await bundle('export * from "./lib";', { resolveDir: packageRoot, outfile, external });
  return outfile;
}

/** A program that loads a model `m`, an input `x` and data, and then does what `body` says. Without a bundle, needs dist/. */
export const program = (body: string, library = path.join(packageRoot, "dist", "index.js")): string => `
  const ts = require(${JSON.stringify(library)});
  const fixtures = ${JSON.stringify(path.join(packageRoot, "test", "fixtures"))};
  (async () => {
    const m = await ts.Module.load(fixtures + "/digits_cnn.pt");
    const x = ts.Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
    const open = () => ts.TensorDataLoader.fromNpz(fixtures + "/digits.npz", {
      keys: ["train_images", "train_labels"], batchSize: 64,
    });
    const data = await open();
    ${body}
  })();`;

/** A kind of job: what repeats it without end, and the milliseconds after which it has gone through all that it does. */
export interface EndlessJob {
  body: string;
  length: number;
}

/** Every kind of job, again and again. `scratch` is a folder that is there. */
export const endlessJobs = (scratch: string): Readonly<Record<string, EndlessJob>> => ({
  forward: { length: 30, body: "for (;;) (await m.forward(x)).close();" },
  score: { length: 150, body: "for (;;) await ts.crossEntropy(data)(m, {});" },
  convert: { length: 150, body: "for (;;) (await ts.convert(m, 'fastnas', x)).close();" },
  search: {
    length: 150,
    body: `
      const scoreFunc = ts.crossEntropy(data, { maxBatches: 2 });
      for (;;) {
        const space = await ts.convert(m, 'fastnas', x);
        await new ts.EvolveSearcher().search(space, { flops: '60%' }, x, { scoreFunc, numIters: 50, verbose: false });
        space.close();
      }`,
  },
  finetune: { length: 150, body: "for (;;) await ts.finetune(m, data, { steps: 100 });" },
  load: { length: 60, body: "for (;;) (await ts.Module.load(fixtures + '/digits_vit.pt')).close();" },
  export: {
    length: 150,
    body: "const space = await ts.convert(m, 'fastnas', x); for (;;) (await space.export()).close();",
  },
  save: {
    length: 40,
    body: `for (let i = 0;; i = (i + 1) % 3) await m.save(${JSON.stringify(scratch)} + '/saved-' + process.pid + '-' + i + '.pt');`,
  },
  "data loading": {
    length: 40,
    body: `
      for (;;) {
        const loader = await open();
        for (const batch of loader) for (const tensor of Object.values(batch)) tensor.close();
        loader.close();
      }`,
  },
  profile: { length: 40, body: "for (;;) await ts.profile(m, x);" },
  compress: {
    length: 150,
    body: `
      for (let i = 0;; i = (i + 1) % 3) await ts.compress(m, {
        data, dummyInput: x, loss: "crossEntropy", target: { flops: "60%" }, steps: 1, epochs: 1, searchBatches: 1,
        searcher: "binary", searcherConfig: { maxChoices: 1 }, convert: { channelDivisor: 16 },
        output: ${JSON.stringify(scratch)} + "/compressed-" + process.pid + "-" + i + ".pt",
      });`,
  },
  "exported programs": {
    length: 40,
    body: `
      for (;;) {
        const program = await ts.Module.load(fixtures + "/exported/tiny.pt2");
        const { args, kwargs } = await ts.Module.sampleInputs(fixtures + "/exported/tiny.pt2");
        await program.forwardWith(args, kwargs);
        program.close();
      }`,
  },
});

export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
}

/** Runs a program in a process of its own; one that doesn't end within the limit ends by SIGKILL. */
export function run(source: string, limitMs = 120_000, flags: readonly string[] = []): Promise<Ending> {
  const child = spawn(process.execPath, [...flags, "-e", source], { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (data) => {
    stderr += data;
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
  return new Promise((resolve) =>
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stderr });
    }),
  );
}

/** Runs tasks, some at a time. */
export async function inLanes(lanes: number, tasks: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...tasks];
  const work = async (): Promise<void> => {
    for (let task = left.shift(); task !== undefined; task = left.shift()) await task();
  };
  await Promise.all(Array.from({ length: lanes }, work));
}
