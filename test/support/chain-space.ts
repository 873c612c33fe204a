/** A search space without LibTorch: a chain of as many layers as wanted, small enough to try every subnet. */
import fc from "fast-check";

import type { SubnetConfig } from "../../lib";
import { SearchSpace } from "../../lib/space/search-space";
import { FakeNativeSpace, rememberFake } from "./fake-space";

export interface Chain {
  /** The choices of each layer's width, ascending. */
  layers: number[][];
  /** Positions that each layer's kernel is applied at. */
  positions: number[];
  /** When the first hyperparameter is at its least, layers after the second cost nothing, or a share that bends. */
  gated?: boolean | "bent";
}

class ChainNativeSpace extends FakeNativeSpace {
  constructor(readonly chain: Chain) {
    super();
    this.widths = chain.layers.map((choices) => choices.at(-1) as number);
  }

  override hyperparameters() {
    return this.chain.layers.map((choices, i) => ({
      name: `layer${i}`,
      kind: "outChannels" as const,
      choices: [...choices],
      full: choices.at(-1) as number,
      begins: i,
    }));
  }

  /** A chain 3 -> w0 -> w1 -> … -> 10 of 1x1 convolutions; each layer holds the larger of its input and output. */
  override cost(widths: Int32Array | readonly number[], metric: string): number {
    const { positions, layers, gated } = this.chain;
    const off = gated !== undefined && gated !== false && widths[0] === layers[0]![0];
    let macs = 10 * widths.at(-1)!;
    let params = macs;
    let buffers = 0;
    layers.forEach((_, i) => {
      if (off && i > 1) {
        if (gated === "bent") macs += Math.sqrt(widths[i - 1]! * widths[i]!);
        return;
      }
      const weights = (i === 0 ? 3 : widths[i - 1]!) * widths[i]!;
      macs += positions[i]! * weights;
      params += weights;
      buffers += 64 * Math.max(i === 0 ? 3 : widths[i - 1]!, widths[i]!);
    });
    const size = 4 * params + buffers;
    const memory = size + 4 * Math.max(...widths);
    return { macs, flops: 2 * macs, params, size, memory }[metric] as number;
  }
}

export function chainSpace(chain: Chain): { space: SearchSpace; native: FakeNativeSpace } {
  const native = new ChainNativeSpace(chain);
  const origin = {
    mode: "fastnas",
    moduleFingerprint: JSON.stringify(chain),
    settings: { channelDivisor: 1 },
  };
  const space = SearchSpace.wrap(native as unknown as SearchSpace["native"], origin);
  rememberFake(space, origin.moduleFingerprint);
  return { space, native };
}

/** Every subnet of a space. */
export function* allSubnets(space: SearchSpace): Generator<SubnetConfig> {
  const { hyperparameters } = space;
  const count = hyperparameters.reduce((product, { choices }) => product * choices.length, 1);
  for (let n = 0; n < count; n++) {
    let rest = n;
    yield Object.fromEntries(
      hyperparameters.map(({ name, choices }) => {
        const width = choices[rest % choices.length] as number;
        rest = Math.floor(rest / choices.length);
        return [name, width];
      }),
    );
  }
}

/** Chains of up to `layers` layers with up to `choices` widths each. */
export function chains(layers: number, choices: number): fc.Arbitrary<Chain> {
  const widths = fc
    .uniqueArray(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: choices })
    .map((list) => list.sort((a, b) => a - b));
  return fc
    .array(fc.record({ widths, positions: fc.constantFrom(1, 16, 64, 256) }), {
      minLength: 1,
      maxLength: layers,
    })
    .map((list) => ({
      layers: list.map((layer) => layer.widths),
      positions: list.map((layer) => layer.positions),
    }));
}
