/** Programs that do native work without end, and how a process that runs one of them ended. */
import { spawn } from "node:child_process";
import path from "node:path";

import { packageRoot } from "../../lib/native/paths";

/** A program that loads a model `m`, an input `x` and data, and then does what `body` says. Needs dist/. */
export const program = (body: string): string => `
  const ts = require(${JSON.stringify(path.join(packageRoot, "dist", "index.js"))});
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

/** Every kind of job, again and again. `scratch` is a folder that is there. */
export const endlessJobs = (scratch: string): Readonly<Record<string, string>> => ({
  forward: "for (;;) (await m.forward(x)).close();",
  score: "for (;;) await ts.crossEntropy(data)(m, {});",
  convert: "for (;;) (await ts.convert(m, 'fastnas', x)).close();",
  search: `
    const scoreFunc = ts.crossEntropy(data, { maxBatches: 2 });
    for (;;) {
      const space = await ts.convert(m, 'fastnas', x);
      await new ts.EvolveSearcher().search(space, { flops: '60%' }, x, { scoreFunc, numIters: 50, verbose: false });
      space.close();
    }`,
  finetune: "for (;;) await ts.finetune(m, data, { steps: 100 });",
  load: "for (;;) (await ts.Module.load(fixtures + '/digits_vit.pt')).close();",
  export: "const space = await ts.convert(m, 'fastnas', x); for (;;) (await space.export()).close();",
  save: `for (let i = 0;; i = (i + 1) % 3) await m.save(${JSON.stringify(scratch)} + '/saved-' + process.pid + '-' + i + '.pt');`,
  "data loading": `
    for (;;) {
      const loader = await open();
      for (const batch of loader) for (const tensor of Object.values(batch)) tensor.close();
      loader.close();
    }`,
  profile: "for (;;) await ts.profile(m, x);",
  compress: `
    for (let i = 0;; i = (i + 1) % 3) await ts.compress(m, {
      data, dummyInput: x, loss: "crossEntropy", target: { flops: "60%" }, steps: 1, epochs: 1, searchBatches: 1,
      searcher: "binary", searcherConfig: { maxChoices: 1 }, convert: { channelDivisor: 16 },
      output: ${JSON.stringify(scratch)} + "/compressed-" + process.pid + "-" + i + ".pt",
    });`,
  "exported programs": `
    for (;;) {
      const program = await ts.Module.load(fixtures + "/exported/tiny.pt2");
      const { args, kwargs } = await ts.Module.sampleInputs(fixtures + "/exported/tiny.pt2");
      await program.forwardWith(args, kwargs);
      program.close();
    }`,
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

/** Runs tasks, two at a time. */
export async function byTwo(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...tasks];
  const work = async (): Promise<void> => {
    for (let task = left.shift(); task !== undefined; task = left.shift()) await task();
  };
  await Promise.all([work(), work()]);
}
