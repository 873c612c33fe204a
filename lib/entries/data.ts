/**
 * Data: loaders over files, tensors, and image folders, and readers of their formats.
 *
 * @module torchsearch/data
 */
export type { BatchIterable, DataSource } from "../data/data-source";
export { INTERPOLATIONS, type Interpolation } from "../data/image-decode";
export { type ImageBatch, ImageFolderLoader, type ImageFolderOptions } from "../data/image-folder";
export type { ImagePreprocessing } from "../data/image-preprocess";
export {
  type RawTensor,
  readSafetensors,
  type SafetensorsDtype,
  type SafetensorsFile,
} from "../data/safetensors";
export {
  type BatchOf,
  type FileLoaderOptions,
  type LoaderOptions,
  type TensorBatch,
  TensorDataLoader,
} from "../data/tensor-loader";
