/** How far a native call is. When events come faster than JavaScript takes them, only the latest is delivered. */
export interface NativeProgress {
  done: number;
  /** 0 when not known. */
  total: number;
  message: string;
}

/** Stops a native call: one that waits is dropped at once, one that runs stops at its next check. */
export interface NativeCancelToken {
  cancel(): void;
}

/** The last argument of every asynchronous native function. */
export interface NativeCall {
  cancel?: NativeCancelToken;
  onProgress?: (event: NativeProgress) => void;
}

/** Exported by native/binding/cancel_token.cpp. */
export interface CallExports {
  CancelToken: new () => NativeCancelToken;
}
