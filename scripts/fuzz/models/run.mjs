// A run: `count` models of a seed, in one or more lanes; gives what was found.
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { Lane } from "./lane.mjs";
import { reduce } from "./reduce.mjs";

const add = (counts, key) => {
  counts[key] = (counts[key] ?? 0) + 1;
};

const MINIMAL_PER_KIND = 2;

/** What a fault of a kind brings along: not worth a search of its own in the same model. */
const IMPLIES = {
  "mask-differs": [
    "other-mask-differs",
    "load-state",
    "train-differs",
    "method-differs",
    "other-full-differs",
  ],
  "other-full-differs": ["other-mask-differs", "other-python-forward"],
  "full-differs": ["mask-differs", "other-full-differs", "other-mask-differs", "load-state", "train-differs"],
  "cost-params": ["cost-size", "cost-memory"],
  "cost-macs": ["cost-flops"],
  "gradient-lost": ["train-gradient"],
  "load-state": ["train-differs"],
};

function kindsOf(faults) {
  const kinds = new Set(faults.map((fault) => fault.kind));
  for (const kind of [...kinds]) for (const implied of IMPLIES[kind] ?? []) kinds.delete(implied);
  return kinds;
}

/**
 * @param {{ seed: number, first?: number, count: number, trees?: object[], jobs?: number, shrink?: number, seconds?: number, known?: boolean,
 *   python: string, env: Record<string, string>, keep?: string, onModel?: (done: object) => void,
 *   onFailure?: (failure: object) => void }} options
 *   `trees`: models to check instead of drawn ones; `shrink`: seconds for making one failing model small, 0 for none;
 *   `seconds`: after so many, no model is begun, 0 for no limit
 * @returns {Promise<object>} counts, and failures with their minimal sources
 */
export async function fuzzModels({
  seed,
  first = 0,
  count,
  trees,
  jobs = 1,
  shrink = 60,
  seconds = 0,
  known = false,
  python,
  env,
  keep,
  onModel,
  onFailure,
}) {
  const base = keep ?? mkdtempSync(path.join(os.tmpdir(), "torchsearch-fuzz-"));
  const summary = {
    seed,
    first,
    count,
    models: 0,
    invalid: {},
    refused: {},
    refusals: {},
    skipped: {},
    subnets: 0,
    hyperparameters: 0,
    failures: [],
  };
  const shrunk = {};
  let next = first;
  const end = seconds > 0 ? performance.now() + seconds * 1000 : Infinity;

  async function work(lane) {
    while (next < first + count && performance.now() < end) {
      const index = next++;
      const tree = trees === undefined ? await lane.draw(seed, index, known) : trees[index];
      const result = await lane.check(tree, {
        keep: keep !== undefined,
        randoms: trees === undefined ? 2 : 6,
      });
      if (result.invalid !== undefined) {
        add(summary.invalid, result.invalid.slice(0, 120));
        onModel?.({ index, ...result });
        continue;
      }
      summary.models++;
      summary.subnets += Object.keys(result.configs).length;
      summary.hyperparameters += result.hyperparameters.length;
      if (result.refused)
        add(
          summary.refused,
          `${result.refused.code}: ${result.refused.message.split("\n")[0].slice(0, 160)}`,
        );
      for (const refusal of result.refusals) add(summary.refusals, refusal);
      for (const reason of result.skipped) add(summary.skipped, reason);
      onModel?.({ index, ...result });
      for (const kind of kindsOf(result.faults)) {
        const failure = { seed, index, kind, tree, result };
        // A few minimal sources of a kind, since it may have several causes; the others are only counted.
        if (shrink > 0 && (shrunk[kind] ?? 0) < MINIMAL_PER_KIND) {
          add(shrunk, kind);
          Object.assign(failure, await reduce(lane, tree, kind, { seconds: shrink }));
        }
        summary.failures.push(failure);
        onFailure?.(failure);
      }
    }
  }

  const lanes = Array.from(
    { length: jobs },
    (_, i) => new Lane({ python, env, folder: path.join(base, `lane${i}`) }),
  );
  try {
    if (!known && trees === undefined) summary.known = await lanes[0].known();
    await Promise.all(lanes.map(work));
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()));
    if (keep === undefined) rmSync(base, { recursive: true, force: true });
  }
  return summary;
}

/** A failure as text: the broken promises, the config, and the source. */
export function describeFailure({ seed, index, kind, tree, result, tried }) {
  const faults = result.faults.filter((fault) => fault.kind === kind);
  const { label, message } = faults[0] ?? { label: "", message: "not broken again" };
  const lines = [
    `=== ${kind}: seed ${seed}, index ${index}, ${tree.form}${tried === undefined ? "" : `, after ${tried} smaller models`}`,
    `${label}: ${message}`,
    ...faults.slice(1, 3).map((fault) => `${fault.label}: ${fault.message}`),
    `inputs ${JSON.stringify(result.shapes[0])}, channelDivisor ${tree.divisor}, config ${JSON.stringify(result.configs[label] ?? {})}`,
    `tree ${JSON.stringify(tree)}`,
    `repeat: npm run fuzz:models -- --seed ${seed} --first ${index} --count 1`,
    "",
    result.source,
  ];
  return lines.join("\n");
}
