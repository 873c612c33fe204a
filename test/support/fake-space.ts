/** A search space without LibTorch: a chain of three layers whose costs can be worked out by hand. */
import { type Module, TorchSearchError } from "../../lib";
import { rememberApplication } from "../../lib/model/record-export";
import type { NativeLatencyOperator } from "../../lib/native/types/latency-table";
import type { NativeModule } from "../../lib/native/types/module";
import { SearchSpace } from "../../lib/space/search-space";

type Native = SearchSpace["native"];

export const CHOICES: readonly { name: string; choices: readonly number[] }[] = [
  { name: "stem", choices: [4, 8, 12, 16] },
  { name: "body.conv1", choices: [8, 16, 24, 32] },
  { name: "body.conv2", choices: [8, 16] },
];

const FAKE_KEY = "fake::chain(a,b,c) -> 10";

/** Multiply-adds of a chain 1 -> a -> b -> c -> 10 of 1x1 convolutions on 100, 50 and 10 positions. */
export function macsOf([a, b, c]: readonly number[]): number {
  return 100 * a! + 50 * a! * b! + 10 * b! * c! + 10 * c!;
}

export function paramsOf([a, b, c]: readonly number[]): number {
  return a! + a! * b! + b! * c! + 10 * c!;
}

export class FakeNativeSpace {
  device = "cpu";
  closed = false;
  /** Bytes of activations that may be kept. */
  budget = 0;
  widths = CHOICES.map(({ choices }) => choices.at(-1) as number);
  /** What happened, in order. */
  log: string[] = [];
  recalibrating = false;
  /** Latencies by widths, once there is a table. */
  latencies: Map<string, number> | null = null;
  measurements = 0;
  /** Batches that calibrated the selected subnet; selecting drops them. */
  calibrated = 0;

  hyperparameters() {
    return CHOICES.map(({ name, choices }, at) => ({
      name,
      kind: "outChannels" as const,
      choices: [...choices],
      full: choices.at(-1) as number,
      begins: at,
    }));
  }

  unprunable() {
    return [{ parameter: "fc.weight", dimension: 0, reason: "it is an output of the model" }];
  }

  exportLosses(): string[] {
    return [];
  }

  ownMethods(): string[] {
    return [];
  }

  active(): number[] {
    return [...this.widths];
  }

  select(widths: Int32Array | readonly number[]): void {
    this.widths = [...widths];
    this.calibrated = 0;
    this.log.push(`select ${this.widths.join(" ")}`);
  }

  cost(widths: Int32Array | readonly number[], metric: string): number {
    const list = [...widths];
    const values: Record<string, number> = {
      macs: macsOf(list),
      flops: 2 * macsOf(list),
      params: paramsOf(list),
      size: 4 * paramsOf(list),
      latency: this.latencies?.get(list.join()) as number,
    };
    return values[metric] as number;
  }

  /** One operator, whose milliseconds are its thousands of multiply-adds, at all widths. */
  async measureLatency(known: NativeLatencyOperator[], options: { threads: number }) {
    this.measurements += 1;
    const rows = CHOICES.reduce<number[][]>(
      (all, { choices }) => all.flatMap((row) => choices.map((width) => [...row, width])),
      [[]],
    );
    const points = Float64Array.from(rows.flatMap((row) => [...row, macsOf(row) / 1000]));
    const operators = known.some(({ key }) => key === FAKE_KEY)
      ? []
      : [{ key: FAKE_KEY, variables: 3, points }];
    return { operators, threads: options.threads };
  }

  useLatencyTable(operators: NativeLatencyOperator[] | null): void {
    const points = operators?.find(({ key }) => key === FAKE_KEY)?.points;
    if (operators !== null && points === undefined)
      throw new TorchSearchError("ERR_LATENCY_TABLE_INCOMPLETE", "The fake space's operator is missing.");
    this.latencies = points === undefined ? null : new Map();
    for (let at = 0; at < (points?.length ?? 0); at += 4)
      this.latencies?.set([...points!.subarray(at, at + 3)].join(), points![at + 3]!);
  }

  reuse() {
    return { budget: this.budget };
  }

  reuseActivations(bytes: number): void {
    this.budget = bytes;
  }

  expect(): void {}

  recalibrate(on: boolean): void {
    this.recalibrating = on;
    this.log.push(`recalibrate ${on}`);
  }

  async forward(args: unknown[]): Promise<unknown> {
    if (this.recalibrating) this.calibrated += 1;
    return args[0];
  }

  async exportSubnet(): Promise<NativeModule> {
    this.log.push(`export ${this.widths.join(" ")} after ${this.calibrated} batches`);
    const files = new Map<string, string>();
    return {
      training: false,
      setExtraFile: (name: string, text: string) => files.set(name, text),
      extraFile: (name: string) => files.get(name) ?? null,
      methods: () => ["forward"],
      close: () => {},
    } as unknown as NativeModule;
  }

  close(): void {
    this.closed = true;
  }
}

/** As convert() does it, so that the space can be exported: a history of a module that has none yet. */
export function rememberFake(space: SearchSpace, from: string): void {
  const module = { native: { extraFile: () => null } } as unknown as Module;
  rememberApplication(space, module, { mode: space.mode, config: {}, from });
}

/** The space and what is behind it. */
export function fakeSpace(identity = "fake"): { space: SearchSpace; native: FakeNativeSpace } {
  const native = new FakeNativeSpace();
  const origin = { mode: "fastnas", moduleFingerprint: identity, settings: { channelDivisor: 4 } };
  const space = SearchSpace.wrap(native as unknown as Native, origin);
  rememberFake(space, identity);
  return { space, native };
}
