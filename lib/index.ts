export { TorchSearchError, type TorchSearchErrorOptions } from "./errors";
export { type CallOptions, type Input, type LoadOptions, Module, type NamedTensor, type Output } from "./module";
export { type DType, type Element, type NestedElements, Tensor, type TensorOptions, type TypedArray } from "./tensor";
