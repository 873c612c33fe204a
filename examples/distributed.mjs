// Searches a digits classifier in several processes of this machine, and trains the subnet together: the result is that
// of one process.
//
//   node examples/distributed.mjs [processes, default 2]
//
// The program starts itself once for each process. torchrun, Slurm or `torchsearch launch` do so for programs and
// commands alike; then only what is in `work` is needed.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";

import {
  convert,
  crossEntropy,
  finetune,
  joinGroup,
  Module,
  RandomSearcher,
  Tensor,
  TensorDataLoader,
} from "torchsearch";

const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");

/** What each process does. */
async function work() {
  const group = await joinGroup();
  const data = await TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
    keys: ["train_images", "train_labels"],
    batchSize: 64,
  });
  const module = await Module.load(path.join(fixtures, "digits_cnn.pt"));
  const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
  const space = await convert(module, "fastnas", dummyInput);
  const { subnet, stateDict } = await new RandomSearcher().search(space, { flops: "60%" }, dummyInput, {
    scoreFunc: crossEntropy(data, { maxBatches: 4 }),
    numIters: 12,
    group,
    dataShards: "auto",
    verbose: false,
  });
  // Four shards for any number of processes up to four: the number of shards decides the result.
  const { epochs } = await finetune(subnet, data, { epochs: 1, teacher: module, group, dataShards: 4 });
  if (group.rank === 0) {
    console.log(`Processes: ${group.worldSize}`);
    console.log(`Best score: ${stateDict.best.score}`);
    console.log(`Loss of training: ${epochs[0].loss}`);
    console.log(`Weights: ${await subnet.fingerprint()}`);
  }
  await group.leave();
}

/** Starts the processes. */
async function start(count) {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  server.close();
  const place = { WORLD_SIZE: count, MASTER_ADDR: "127.0.0.1", MASTER_PORT: port };
  for (let rank = 0; rank < count; rank++) {
    const env = { OMP_NUM_THREADS: "1", ...process.env, ...place, RANK: rank };
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], { stdio: "inherit", env });
    child.on("exit", (code) => {
      if (code !== 0) process.exitCode = 1;
    });
  }
}

if (process.env.RANK === undefined) await start(Number(process.argv[2] ?? 2));
else await work();
