/** Native searches and trainings on small fixtures, each of which ends with a text that tells all that came out. */
import { createHash } from "node:crypto";
import path from "node:path";

import {
  AutoQuantizeSearcher,
  convert,
  finetune,
  Module,
  SparseGptSearcher,
  SparseMagnitudeSearcher,
  setThreads,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
  trainSupernet,
} from "../../lib";

/** Runs to the end, from a checkpoint where there is one. `begun` is called once everything is loaded. */
type Run = (checkpoint: string, begun: () => void) => Promise<string>;

const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

/** A state in text: tensors and typed arrays by their bytes. */
function text(state: unknown): string {
  return JSON.stringify(state, (_, value: unknown) => {
    const data = value instanceof Tensor ? value.data() : value;
    if (!ArrayBuffer.isView(data)) return value;
    return createHash("sha256")
      .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      .digest("hex");
  });
}

/** The runs, by name, over the fixtures in a folder. */
export function runsOver(fixtures: string): Record<string, Run> {
  setThreads(1);
  const load = (name: string) => Module.load(path.join(fixtures, `${name}.pt`));
  const digits = (batchSize: number) =>
    TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
      keys: ["train_images", "train_labels"],
      batchSize,
      shuffle: true,
      seed: 3,
    });

  const sparse =
    (
      Searcher: typeof SparseMagnitudeSearcher | typeof SparseGptSearcher,
      model: string,
      config: object,
    ): Run =>
    async (checkpoint, begun) => {
      const space = await convert(await load(model), "sparsegpt", dummyInput(), { pattern: "2:4" });
      const dataLoader = await digits(64);
      begun();
      const searcher = new Searcher() as SparseGptSearcher;
      const given = { dataLoader, maxIterDataLoader: 2, checkpoint, verbose: false, ...config };
      const { subnet, stateDict } = await searcher.search(space, {}, dummyInput(), given);
      return `${await subnet.fingerprint()} ${text(stateDict)}`;
    };

  return {
    sparse_magnitude: sparse(SparseMagnitudeSearcher, "digits_vit", {}),
    sparsegpt: sparse(SparseGptSearcher, "digits_vit", {}),
    "sparsegpt, sequential": sparse(SparseGptSearcher, "digits_vit", {
      sequential: true,
      maxIterDataLoader: 1,
    }),
    auto_quantize: async (checkpoint, begun) => {
      const space = await convert(await load("digits_resnet"), "auto_quantize", dummyInput(), {});
      const dataLoader = await digits(32);
      begun();
      const config = {
        dataLoader,
        maxIterDataLoader: 2,
        sensitivity: "klDivergence",
        checkpoint,
        verbose: false,
      } as const;
      const { subnet, stateDict } = await new AutoQuantizeSearcher().search(
        space,
        { effectiveBits: 6 },
        dummyInput(),
        config,
      );
      return `${await subnet.fingerprint()} ${text(stateDict)}`;
    },
    finetune: async (checkpoint, begun) => {
      const module = await load("finetune/dropout");
      const file = path.join(fixtures, "finetune", "data.npz");
      const data = await TensorDataLoader.fromNpz(file, { keys: ["images", "labels"], batchSize: 8 });
      begun();
      const { epochs } = await finetune(module, data, {
        epochs: 5,
        seed: 5,
        scoreFunc: topKAccuracy(data),
        checkpoint,
        checkpointSeconds: 0,
      });
      return `${await module.fingerprint()} ${text(epochs)}`;
    },
    trainSupernet: async (checkpoint, begun) => {
      const module = await load("supernet/dropout");
      const example = Tensor.from(new Float32Array(50), [1, 2, 5, 5]);
      const space = await convert(module, "autonas", example, { importance: "none", channelDivisor: 2 });
      const file = path.join(fixtures, "supernet", "data.npz");
      const data = await TensorDataLoader.fromNpz(file, { keys: ["floats", "labels"], batchSize: 4 });
      begun();
      const { epochs } = await trainSupernet(space, data, {
        steps: 22,
        seed: 7,
        scoreFunc: topKAccuracy(data),
        checkpoint,
        checkpointSeconds: 0,
      });
      return `${await module.fingerprint()} ${text(epochs)}`;
    },
  };
}
