export { TorchSearchError, type TorchSearchErrorOptions } from "./errors";
