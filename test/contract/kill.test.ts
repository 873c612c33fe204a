/** A process killed at any moment leaves a checkpoint from which the search ends as if nothing had happened. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Random } from "../../lib/util/random";
import { bundle, runUntil } from "../support/killable";
import { FakeModel, TrialSearcher } from "./doubles";

const TRIALS = 60;
let folder: string;
let script: string;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-"));
  script = path.join(folder, "search.cjs");
  const source = `
    import { FakeModel, TrialSearcher } from "./doubles";
    new TrialSearcher()
      .search(new FakeModel(), {}, null, { checkpoint: process.argv[2], trials: ${TRIALS}, seed: 11 })
      .then(({ stateDict }) => process.stdout.write(JSON.stringify(stateDict)));
  `;
  await bundle(source, { resolveDir: __dirname, outfile: script });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts the search in a process of its own, kills it after a while; what it printed if it got to the end. */
function run(checkpoint: string, killAfter: number | null): Promise<string | null> {
  if (killAfter === null) return runUntil(script, [checkpoint], null);
  return runUntil(script, [checkpoint], async (hasEnded) => {
    while (!existsSync(checkpoint) && !hasEnded()) await sleep(1);
    await sleep(killAfter);
  });
}

it("kill -9 at 20 random moments loses nothing that was saved, and changes nothing", async () => {
  const straight = await new TrialSearcher().search(new FakeModel(), {}, null, { trials: TRIALS, seed: 11 });
  const random = new Random(5);
  let killed = 0;
  for (let round = 0; killed < 20 && round < 40; round++) {
    const checkpoint = path.join(folder, `round-${round}`, "state.safetensors");
    if ((await run(checkpoint, random.integer(60))) === null) killed += 1;
    const resumed = await new TrialSearcher().search(new FakeModel(), {}, null, {
      checkpoint,
      trials: TRIALS,
      seed: 11,
    });
    expect(resumed.stateDict).toEqual(straight.stateDict);
    const strays = readdirSync(path.dirname(checkpoint)).filter((name) => name !== "state.safetensors");
    expect(strays.length).toBeLessThanOrEqual(1); // at most the file that was being written
  }
  expect(killed).toBeGreaterThanOrEqual(10);
  expect(JSON.parse((await run(path.join(folder, "whole.safetensors"), null))!)).toEqual(straight.stateDict);
}, 120_000);
