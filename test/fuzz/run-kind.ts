/** Seeded files of a kind, in vitest. */
import { expect } from "vitest";

import { KINDS } from "./kinds";
import type { Session } from "./session";

/** Reads as many files as the kind has in continuous integration; no file may do what no file may do. */
export async function expectNoFaults(session: Session, kind: string): Promise<void> {
  const { count, make } = KINDS[kind] as (typeof KINDS)[string];
  const faults: string[] = [];
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= count; seed++) {
    const sample = make(seed, session.bases);
    const outcome = await session.read(kind, sample);
    for (const result of Object.values(outcome.steps ?? {})) outcomes.add(result);
    if (outcome.faults.length > 0) {
      const again = `npm run fuzz -- --kinds ${kind} --seed ${seed} --minutes 1`;
      faults.push(
        `seed ${seed}, ${sample.what}: ${outcome.faults.join("; ")}\n(${again} adds it to the corpus)`,
      );
    }
  }
  expect(faults).toEqual([]);
  // Otherwise the files are either all the same to the reader, or never get past its first check.
  expect(outcomes).toContain("ok");
  expect(outcomes.size).toBeGreaterThan(1);
}
