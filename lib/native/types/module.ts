import type { NativeCall } from "./call";
import type { NativeNamedTensor } from "./tensor";

/** The arguments of a forward, with native tensors in them. */
export interface NativeInputs {
  args: unknown[];
  kwargs: Record<string, unknown>;
}

/** Something that runs on a batch: a module, or the active subnet of a search space. */
export interface NativeForwardable {
  forward(args: unknown[], kwargs: Record<string, unknown> | null, call?: NativeCall): Promise<unknown>;
}

export interface NativeLoadOptions {
  device?: string;
  /** Operators and classes that the file may name beside the listed ones. */
  allowUnsafe?: readonly string[];
  maxModelBytes?: number;
  verify?: boolean;
  /** Of a file with several exported programs: which one. */
  model?: string;
}

export interface NativeModule extends NativeForwardable {
  readonly training: boolean;
  readonly bytes: number;
  readonly device: string;
  readonly closed: boolean;
  forwardSchema(): string;
  /** Names of its own methods, forward among them. */
  methods(): string[];
  save(path: string, call: NativeCall): Promise<void>;
  /** As an exported program, recorded on these inputs, else on what is known of the module. */
  saveExported(
    path: string,
    args: unknown[] | null,
    kwargs: Record<string, unknown> | null,
    call: NativeCall,
  ): Promise<void>;
  /** A text that the file holds beside the model (`extra/NAME` in the archive); null without one. */
  extraFile(name: string): string | null;
  /** `save` writes it with the model. */
  setExtraFile(name: string, text: string): void;
  namedParameters(): NativeNamedTensor[];
  namedBuffers(): NativeNamedTensor[];
  /** A promise where other calls run or wait: then the mode changes after them. ERR_FROZEN, ERR_CLOSED at once. */
  train(on: boolean): Promise<void> | undefined;
  to(device: string, call: NativeCall): Promise<void>;
  fingerprint(call: NativeCall): Promise<string>;
  close(): void;
}

/** Exported by native/binding/module.cpp. */
export interface ModuleExports {
  Module: {
    new (...args: never): NativeModule;
    load(path: string, options: NativeLoadOptions, call: NativeCall): Promise<NativeModule>;
    sampleInputs(path: string, options: NativeLoadOptions, call: NativeCall): Promise<NativeInputs | null>;
  };
}
