// The data of a benchmark, repeated or cut to a number of samples.
import { Tensor, TensorDataLoader } from "torchsearch";

/** A loader over the first `samples` rows of `images` and `labels` in a .npz file, repeated if it has fewer. */
export async function repeated(file, samples, batchSize) {
  const source = await TensorDataLoader.fromNpz(file, { keys: ["images", "labels"], batchSize: 1 });
  const whole = await TensorDataLoader.fromNpz(file, {
    keys: ["images", "labels"],
    batchSize: source.samples,
  });
  const [{ images, labels }] = whole;
  const fill = (tensor) => {
    const data = tensor.data();
    const row = data.length / tensor.shape[0];
    const result = new data.constructor(samples * row);
    for (let at = 0; at < result.length; at += data.length)
      result.set(data.subarray(0, Math.min(data.length, result.length - at)), at);
    return Tensor.from(result, [samples, ...tensor.shape.slice(1)]);
  };
  const tensors = { images: fill(images), labels: fill(labels) };
  const elements = images.shape.slice(1).reduce((product, size) => product * size, 1);
  const example = Tensor.from(new Float32Array(elements), [1, ...images.shape.slice(1)]);
  return { loader: TensorDataLoader.fromTensors(tensors, { batchSize }), example };
}
