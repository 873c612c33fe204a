/** Quantization spaces and data of the digits fixtures. */
import path from "node:path";

import {
  convert,
  Module,
  type QuantizationSpace,
  type QuantizeConfig,
  Tensor,
  TensorDataLoader,
} from "../../lib";
import { root } from "../support/zoo";

export const data = path.join(root, "test", "fixtures", "digits.npz");
export const dummyInput = (): Tensor => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

export async function digitsSpace(
  model: "digits_resnet" | "digits_vit" | "digits_cnn" = "digits_resnet",
  config: QuantizeConfig = {},
): Promise<QuantizationSpace> {
  const module = await Module.load(path.join(root, "test", "fixtures", `${model}.pt`));
  return convert(module, "auto_quantize", dummyInput(), config);
}

export function trainData(batchSize = 64, shuffle = false): Promise<TensorDataLoader> {
  const keys = ["train_images", "train_labels"];
  return TensorDataLoader.fromNpz(data, { keys, batchSize, shuffle, seed: 0 });
}

export function testData(batchSize = 250): Promise<TensorDataLoader> {
  return TensorDataLoader.fromNpz(data, { keys: ["test_images", "test_labels"], batchSize });
}
