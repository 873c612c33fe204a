// The first hour of three new users, from the packed file in an empty folder: what each types, and what comes out. Each
// gives its minutes, its commands and the decisions that it takes; a step that fails throws.
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";

import { root } from "./run.mjs";

const fixture = (name) => path.join(root, "test", "fixtures", name);

/** What the Node engineer writes: the README's example. */
const PRUNE = `import { convert, crossEntropy, Module, search, Tensor, TensorDataLoader, topKAccuracy } from "torchsearch";

const module = await Module.load("classifier.pt");
const train = await TensorDataLoader.fromNpz("digits.npz", { keys: ["train_images", "train_labels"], batchSize: 128 });
const example = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const space = await convert(module, "fastnas", example);
const { subnet, stateDict } = await search(space, { flops: "60%" }, example, {
  scoreFunc: crossEntropy(train, { maxBatches: 4 }),
  dataLoader: train,
  maxIterDataLoader: 4,
  verbose: false,
});
await subnet.save("subnet.pt");
const test = await TensorDataLoader.fromNpz("digits.npz", { keys: ["test_images", "test_labels"], batchSize: 500 });
const { params, flops } = stateDict.best.costs;
console.log(JSON.stringify({ accuracy: await topKAccuracy(test)(subnet), params, share: flops / stateDict.fullCosts.flops }));
`;

/** What the researcher writes: a TPE of one's own, over a study. */
const OPTIMIZER = `import { convert, crossEntropy, Module, Tensor, TensorDataLoader } from "torchsearch";

const [, , checkpoint] = process.argv;
const CANDIDATES = 30;
const module = await Module.load("classifier.pt");
const keys = ["train_images", "train_labels"];
const train = await TensorDataLoader.fromNpz("digits.npz", { keys, batchSize: 128, shuffle: true });
const space = await convert(module, "fastnas", Tensor.from(new Float32Array(64), [1, 1, 8, 8]));
const study = await space
  .study(
    { flops: "60%" },
    {
      checkpoint,
      seed: 1,
      minBudgetUse: 0.85,
      scoreFunc: crossEntropy(train, { maxBatches: 2 }),
      dataLoader: train,
      maxIterDataLoader: 2,
    },
  )
  .open();

/** How often each choice occurs among some candidates, with one occurrence for free. */
const densities = (candidates) =>
  space.hyperparameters.map(({ name, choices }) => {
    const counts = choices.map((choice) => 1 + candidates.filter(({ config }) => config[name] === choice).length);
    return counts.map((count) => count / (candidates.length + choices.length));
  });

function draw(weights) {
  let left = study.random.float();
  return Math.max(0, weights.findIndex((weight) => (left -= weight) < 0));
}

function propose() {
  const ranked = study.candidates.sort((a, b) => b.score - a.score);
  const [good, bad] = [densities(ranked.slice(0, 4)), densities(ranked.slice(4))];
  const draws = Array.from({ length: 24 }, () => {
    const at = good.map(draw);
    const gain = at.reduce((sum, choice, i) => sum + Math.log(good[i][choice] / bad[i][choice]), 0);
    return { gain, config: Object.fromEntries(space.hyperparameters.map(({ name, choices }, i) => [name, choices[at[i]]])) };
  });
  const fitting = draws.filter(({ config }) => space.cost(config, "flops") <= study.bounds.flops);
  return fitting.sort((a, b) => b.gain - a.gain)[0]?.config;
}

while (study.told < CANDIDATES) {
  const candidate = await study.ask(study.told < 10 ? undefined : propose());
  await study.tell(candidate, candidate.score ?? (await study.score(candidate)));
  console.log(study.told);
}
const { subnet, stateDict } = await study.finish();
await subnet.save("studied.pt");
console.log(JSON.stringify({ best: stateDict.best, scores: study.candidates.map(({ score }) => score) }));
`;

/** What PyTorch says of a subnet: its parameters, and its accuracy on the images that were held out. */
const IN_PYTORCH = `import json, numpy, torch
model = torch.jit.load("subnet.pt").eval()
data = numpy.load("digits.npz")
with torch.no_grad():
    guess = model(torch.from_numpy(data["test_images"]).float()).argmax(1).numpy()
accuracy = float((guess == data["test_labels"]).mean())
print(json.dumps({"accuracy": accuracy, "params": sum(p.numel() for p in model.parameters())}))
`;

function check(holds, what) {
  if (!holds) throw new Error(what);
}

/**
 * @param tarball the packed file
 * @param folder an empty folder
 * @param options env of the programs, where LibTorch is found; the python to check with
 * @returns by user: minutes, commands, decisions
 */
export async function firstHour(tarball, folder, { env, python }) {
  const environment = { ...process.env, ...env, OMP_NUM_THREADS: "1" };
  for (const name of Object.keys(environment))
    if (/^npm_(?!config_registry)/.test(name)) delete environment[name];
  const users = {};
  let user;

  const begin = (name, decisions) => {
    const place = path.join(folder, name.replaceAll(" ", "-"));
    mkdirSync(place, { recursive: true });
    user = { place, commands: [], decisions, start: performance.now() };
    users[name] = user;
  };
  const end = () => {
    user.minutes = (performance.now() - user.start) / 60_000;
  };
  const type = (command, ...args) => {
    user.commands.push(
      [path.basename(command), ...args.map((arg) => (arg === tarball ? "torchsearch" : arg))].join(" "),
    );
    const ended = spawnSync(command, args, {
      cwd: user.place,
      env: environment,
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    });
    check(ended.status === 0, `${user.commands.at(-1)}: ${ended.error ?? ""}${ended.stdout}${ended.stderr}`);
    return ended.stdout;
  };
  const install = () => {
    writeFileSync(path.join(user.place, "package.json"), '{ "private": true }\n');
    type("npm", "install", tarball, "--no-audit", "--no-fund", "--prefer-offline");
    type("npx", "torchsearch", "doctor");
    copyFileSync(fixture("digits_resnet.pt"), path.join(user.place, "classifier.pt"));
    copyFileSync(fixture("digits.npz"), path.join(user.place, "digits.npz"));
  };
  const write = (name, text) => writeFileSync(path.join(user.place, name), text);

  begin("Node engineer", [
    "which arrays are inputs and labels",
    "the shape of an input",
    "the budget (60 % of the FLOPs)",
  ]);
  install();
  write("prune.mjs", PRUNE);
  const pruned = JSON.parse(type("node", "prune.mjs"));
  check(pruned.share <= 0.6 && pruned.accuracy > 0.95, JSON.stringify(pruned));
  write("check.py", IN_PYTORCH);
  const checked = JSON.parse(type(python, "check.py"));
  check(
    checked.params === pruned.params,
    `PyTorch counts ${checked.params} parameters, torchsearch ${pruned.params}`,
  );
  check(Math.abs(checked.accuracy - pruned.accuracy) < 0.003, JSON.stringify({ checked, pruned }));
  end();

  begin("Researcher", ["the budget", "the share of good candidates", "candidates and seed"]);
  install();
  write("optimizer.mjs", OPTIMIZER);
  check(OPTIMIZER.trim().split("\n").length <= 62, "the optimizer is longer than was said");
  for (const after of [4, 9, 8]) await killedAfter(after);
  const resumed = lastLine(type("node", "optimizer.mjs", "study.safetensors"));
  const whole = lastLine(type("node", "optimizer.mjs", "whole.safetensors"));
  check(resumed === whole, `resumed: ${resumed}\nwithout interruption: ${whole}`);
  end();

  begin("ML engineer", ["which arrays are inputs and labels", "the budget", "epochs of training"]);
  install();
  const arrays = ["--data", "digits.npz", "--input-array", "train_images", "--target-array", "train_labels"];
  const json = (...args) => JSON.parse(type("npx", "torchsearch", ...args, "--json"));
  const found = json("search", "classifier.pt", ...arrays, "--constraint", "flops=60%", "--max-batches", "4");
  check(existsSync(path.join(user.place, "classifier.subnet.pt")), JSON.stringify(found));
  const trained = json(
    "finetune",
    "classifier.subnet.pt",
    ...arrays,
    "--teacher",
    "classifier.pt",
    "--epochs",
    "1",
  );
  check(existsSync(path.join(user.place, "classifier.subnet.finetuned.pt")), JSON.stringify(trained));
  type("npx", "torchsearch", "report", "classifier.subnet.search.safetensors");
  const page = readFileSync(path.join(user.place, "classifier.subnet.search.html"), "utf8");
  check(page.includes("<svg"), "the report has no chart");
  end();
  return users;

  /** Kills the optimizer after some more candidates, without a warning. */
  async function killedAfter(more) {
    user.commands.push("node optimizer.mjs study.safetensors (killed)");
    const child = spawn(process.execPath, ["optimizer.mjs", "study.safetensors"], {
      cwd: user.place,
      env: environment,
      stdio: ["ignore", "pipe", "inherit"],
    });
    // Until it has ended, it holds its checkpoint.
    const ended = new Promise((resolve) => {
      child.on("exit", resolve);
    });
    let lines = 0;
    for await (const _ of createInterface({ input: child.stdout })) {
      lines += 1;
      if (lines === more) child.kill("SIGKILL");
    }
    await ended;
    check(lines >= more && lines < 30, `the optimizer printed ${lines} lines before it was killed`);
  }
}

const lastLine = (text) => text.trim().split("\n").at(-1);

/** Removes what `firstHour` wrote. */
export function clean(folder) {
  rmSync(folder, { recursive: true, force: true });
}
