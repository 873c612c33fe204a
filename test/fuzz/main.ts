/** `npm run fuzz`: mutated files of all kinds, until the time is over or without end. */
import { parseArgs } from "node:util";

import { addToCorpus } from "./corpus";
import { KINDS } from "./kinds";
import { Session } from "./session";

const HELP = `npm run fuzz -- [options]

  --minutes N    ends after N minutes; without it, never
  --seed S       the first file's seed, default 1; the seeds after it are counted up
  --kinds NAMES  of ${Object.keys(KINDS).join(",")}

A file that crashes or hangs the process, gives a plain error or leaves a file behind is put into test/fuzz/corpus.
`;

/** Files of each kind in a round are a part of those in continuous integration. */
const PART = 20;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string" },
      seed: { type: "string", default: "1" },
      kinds: { type: "string", default: Object.keys(KINDS).join(",") },
      help: { type: "boolean", default: false },
    },
  });
  const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes);
  const first = Number(values.seed);
  const kinds = values.kinds.split(",");
  const unknown = kinds.find((kind) => !Object.hasOwn(KINDS, kind));
  if (values.help || !(minutes > 0) || !Number.isSafeInteger(first) || unknown !== undefined) {
    process.stdout.write(unknown === undefined ? HELP : `There is no kind "${unknown}".\n\n${HELP}`);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const end = performance.now() + minutes * 60_000;
  const session = await Session.open();
  let faults = 0;
  let files = 0;
  const outcomes = new Map<string, number>();
  try {
    const next = new Map(kinds.map((kind) => [kind, first]));
    rounds: for (;;) {
      for (const kind of kinds) {
        const { count, make } = KINDS[kind] as (typeof KINDS)[string];
        for (let i = 0; i < count / PART; i++) {
          if (performance.now() >= end) break rounds;
          const seed = next.get(kind) as number;
          next.set(kind, seed + 1);
          const sample = make(seed, session.bases);
          const outcome = await session.read(kind, sample);
          files += 1;
          const last = Object.values(outcome.steps ?? { ended: "a fault" }).at(-1) ?? "nothing";
          outcomes.set(`${kind}: ${last}`, (outcomes.get(`${kind}: ${last}`) ?? 0) + 1);
          if (outcome.faults.length === 0) continue;
          faults += 1;
          const file = addToCorpus(kind, sample, outcome.faults.join("; "));
          process.stderr.write(`${kind}, seed ${seed}, ${sample.what}: test/fuzz/corpus/${file}\n`);
          process.stderr.write(`  ${outcome.faults.join("\n  ")}\n`);
        }
      }
      process.stderr.write(`${files} files, ${faults} faults\n`);
    }
  } finally {
    await session.close();
  }
  for (const name of [...outcomes.keys()].sort()) process.stdout.write(`${name}: ${outcomes.get(name)}\n`);
  process.stdout.write(`${files} files, ${faults} faults\n`);
  if (faults > 0) process.exitCode = 1;
}

void main();
