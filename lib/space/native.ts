/** The native search space, typed. */
import { addon, type NativeCall, type NativeForwardable, type NativeModule } from "../native/addon";

export interface NativeHyperparameter {
  name: string;
  choices: number[];
  full: number;
}

export interface NativeUnprunable {
  parameter: string;
  dimension: number;
  reason: string;
}

export interface NativeSearchSpace extends NativeForwardable {
  readonly device: string;
  readonly closed: boolean;
  hyperparameters(): NativeHyperparameter[];
  unprunable(): NativeUnprunable[];
  active(): number[];
  select(widths: Int32Array | number[]): void;
  cost(widths: Int32Array | number[], metric: string): number;
  recalibrate(on: boolean): void;
  exportSubnet(call: NativeCall): Promise<NativeModule>;
  close(): void;
}

interface NativeSearchSpaceClass {
  convert(
    module: NativeModule,
    args: unknown[],
    kwargs: Record<string, unknown>,
    options: { channelDivisor: number; importance: string },
    call: NativeCall,
  ): Promise<NativeSearchSpace>;
}

export function nativeSearchSpace(): NativeSearchSpaceClass {
  return (addon() as unknown as { SearchSpace: NativeSearchSpaceClass }).SearchSpace;
}
