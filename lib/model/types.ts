/** Inputs and outputs of models, and the options of calls on them. */
import type { FileFormat } from "./file-format";
import type { Tensor } from "./tensor";

/** An input of a model: tensors, plain values, and arrays (list, tuple) and records (dict) of them. */
export type Input =
  | Tensor
  | number
  | bigint
  | boolean
  | string
  | null
  | undefined
  | readonly Input[]
  | { readonly [name: string]: Input };

/** An output of a model: tuples and lists are arrays, dicts and named tuples are records, None is null. */
export type Output =
  | Tensor
  | number
  | bigint
  | boolean
  | string
  | null
  | Output[]
  | { [name: string]: Output };

/** Lets a call be stopped. */
export interface CallOptions {
  /** Rejects with `ERR_ABORTED`: at once while the call waits for its turn, else when the running operation ends. */
  signal?: AbortSignal | null;
}

/** Options of `Module.save`. */
export interface SaveOptions extends CallOptions {
  /** By default what the name says: an exported program where it ends with `.pt2`. */
  format?: FileFormat | null;
  /**
   * What an exported program is recorded on, as the `dummyInput` of `convert`: one value, or an array of arguments whose
   * last item may be a record of keyword arguments. By default what is known of the module.
   */
  input?: unknown;
}

/** Options of `Module.load`. */
export interface LoadOptions extends CallOptions {
  /** Where the weights go, such as `cuda:0`; by default where the file says. */
  device?: string;
  /**
   * TorchScript files are programs, so a file may name listed operators only: those that compute on tensors, numbers,
   * text and containers. Names given here are let through, too, such as `"prim::Print"` or `"aten::save"`; the error of
   * a refused file says which it needs. Give them for files that you trust: see docs/security.md.
   */
  allowUnsafe?: readonly string[];
  /** The most bytes that the file may have when it is unpacked; by default only absurdly packed files are refused. */
  maxModelBytes?: number;
  /**
   * The most milliseconds that one `forward` may take; then it rejects with `ERR_TIMEOUT`. A model that doesn't stop is
   * left to itself, and every call rejects with `ERR_BUSY` until it does. Default: no limit.
   */
  timeoutMs?: number;
  /** Whether the checksum of every record in the file is compared, which reads it once more; default true. */
  verify?: boolean;
  /** The name of one of several exported programs in a `.pt2` file. */
  model?: string;
}

/** What a model was exported with. */
export interface SampleInputs {
  /** Positional arguments, in order. */
  args: Input[];
  /** Keyword arguments by name. */
  kwargs: Record<string, Input>;
}

/** A parameter or buffer with its dotted path, as in a PyTorch state dict. */
export interface NamedTensor {
  /** The parameter's or buffer's path, such as `layer1.0.conv1.weight`. */
  name: string;
  /** Shares the module's memory. Lives on when the module is closed. */
  tensor: Tensor;
}
