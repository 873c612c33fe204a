// Arrays of a file, whole and in batches, beside what a loader feeds.
import { Tensor, TensorDataLoader } from "torchsearch";

/** Opens an .npz: `arrays` by name, `sample` and `batchesOf` as tensors that the caller closes. */
export async function openArrays(file, keys) {
  const loader = await TensorDataLoader.fromNpz(file, { ...(keys && { keys }), batchSize: 1e9 });
  const [whole] = [loader.batch(0)];
  const tensors = Array.isArray(whole) ? whole : Object.values(whole);
  const arrays = Object.fromEntries(
    loader.keys.map((key, i) => [
      key,
      { data: tensors[i].data(), shape: tensors[i].shape, dtype: tensors[i].dtype },
    ]),
  );
  const part = (key, from, to) => {
    const { data, shape, dtype } = arrays[key];
    const [rows, ...rest] = shape;
    const width = data.length / rows;
    const end = Math.min(to, rows);
    return Tensor.from(data.slice(from * width, end * width), [end - from, ...rest], { dtype });
  };
  return {
    arrays,
    sample: (key) => part(key, 0, 1),
    *batchesOf(names, size) {
      const [rows] = arrays[names[0]].shape;
      for (let from = 0; from < rows; from += size) yield names.map((key) => part(key, from, from + size));
    },
  };
}
