/** Asking and telling: what an optimizer of the user's own may rely on. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

import { RandomSearcher, readCheckpoint, type SearchSpace, type SubnetConfig, writeReport } from "../../lib";
import { subnetsOf } from "../../lib/entries/search";
import type { Study, StudyOptions } from "../../lib/entries/space";
import { type Chain, chainSpace, chains } from "../support/chain-space";
import { expectCode } from "../support/tensors";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-study-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const widths = [4, 8, 12, 16];
const CHAIN: Chain = { layers: [widths, widths, widths, widths], positions: [64, 64, 16, 16] };

const worth = (config: Readonly<SubnetConfig>): number =>
  Object.values(config).reduce((sum, width, i) => sum + [3, 1, 4, 2][i % 4]! * Math.log(width), 0);
const scoreFunc = (model: unknown): number => worth((model as SearchSpace).active);

const begin = (options: StudyOptions = {}, chain = CHAIN): { study: Study; space: SearchSpace } => {
  const { space } = chainSpace(chain);
  return { study: space.study({ macs: "60%" }, options), space };
};

/** An optimizer of one's own: two candidates at a time, one random, one near the best. */
async function optimize(study: Study, told: number, cut: () => void = () => undefined): Promise<void> {
  await study.open();
  while (study.told < told) {
    cut();
    const first = await study.ask();
    cut();
    const { best, random } = study;
    const near = (config: SubnetConfig): SubnetConfig =>
      Object.fromEntries(
        Object.entries(config).map(([name, width]) => [
          name,
          random.chance(0.4) ? random.choice(widths) : width,
        ]),
      );
    const second = await study.ask(best === null ? undefined : near(best.config));
    study.memory = { rounds: ((study.memory as { rounds: number } | null)?.rounds ?? 0) + 1 };
    for (const candidate of [first, second]) {
      cut();
      await study.tell(candidate, worth(candidate.config));
    }
  }
  await study.save();
}

describe("a study", () => {
  it("asks for candidates within the constraints, each once, and keeps the best that it was told", async () => {
    await fc.assert(
      fc.asyncProperty(chains(4, 4), fc.nat(), async (chain, seed) => {
        const { study, space } = begin({ seed }, chain);
        const limit = 0.6 * space.cost(space.fullConfig, "macs");
        if (space.cost(space.smallestConfig, "macs") > limit) {
          await expectCode("ERR_CONSTRAINT_UNREACHABLE", () => study.ask());
          return;
        }
        let most = Number.NEGATIVE_INFINITY;
        for (let i = 0; i < 12; i++) {
          const { config, costs, fits } = await study.ask();
          expect(fits).toBe(true);
          expect(costs.macs).toBeLessThanOrEqual(limit);
          expect(costs).toEqual(space.costs(config));
          most = Math.max(most, worth(config));
          await study.tell(config, worth(config));
        }
        expect(study.best?.score).toBe(most);
        expect(study.told).toBe(12);
      }),
      { numRuns: 40 },
    );
  });

  it("has the state of a searcher that proposes candidates, and a checkpoint and report like it", async () => {
    const checkpoint = path.join(folder, "state.safetensors");
    const { study } = begin({ checkpoint, scoreFunc });
    for (let i = 0; i < 10; i++) {
      const candidate = await study.ask();
      await study.tell(candidate, await study.score(candidate));
    }
    const { subnet, stateDict } = await study.finish();
    expect(subnet).toBeDefined();
    const { stateDict: searched } = await new RandomSearcher().search(
      chainSpace(CHAIN).space,
      { macs: "60%" },
      null,
      {
        scoreFunc,
        numIters: 10,
        verbose: false,
      },
    );
    expect(Object.keys(stateDict).sort()).toEqual([...Object.keys(searched), "asked", "memory"].sort());
    // The same seed draws the same candidates as the random search does.
    expect(stateDict.candidates).toEqual(searched.candidates);
    expect(stateDict.best).toEqual(searched.best);
    const saved = await readCheckpoint(checkpoint);
    expect(saved?.searcher).toBe("Study");
    expect(saved?.state).toEqual(stateDict);
    expect(subnetsOf(stateDict.candidates)).toEqual(study.candidates);
    const page = path.join(folder, "report.html");
    await writeReport(checkpoint, page);
    expect(readFileSync(page, "utf8")).toContain("Study");
  });

  it("is resumed at any moment, and ends as if never interrupted", async () => {
    let file = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 3 }),
        fc.nat(),
        async (breaks, seed) => {
          const straight = begin({ seed }).study;
          await optimize(straight, 20);
          const checkpoint = path.join(folder, `resume-${file++}.safetensors`);
          for (const after of breaks) {
            let left = after;
            const { study } = begin({ seed, checkpoint });
            await optimize(study, 20, () => {
              if (left-- === 0) throw new Error("power cut");
            }).catch(() => undefined);
            await study.close();
          }
          const { study } = begin({ seed, checkpoint });
          await optimize(study, 20);
          expect(study.stateDict()).toEqual(straight.stateDict());
          expect(study.random.state).toEqual(straight.random.state);
        },
      ),
      { numRuns: 25 },
    );
  });

  it("gives out again what was asked for and not told, before anything new", async () => {
    const checkpoint = path.join(folder, "again.safetensors");
    const { study } = begin({ checkpoint });
    const asked = [await study.ask(), await study.ask(), await study.ask()];
    expect(new Set(asked.map(({ config }) => JSON.stringify(config))).size).toBe(3);
    await study.tell(asked[1]!, 1);
    await study.save();
    await expectCode("ERR_CHECKPOINT_IN_USE", () => begin({ checkpoint }).study.ask());
    await study.close();
    const resumed = begin({ checkpoint }).study;
    expect((await resumed.ask()).config).toEqual(asked[0]?.config);
    expect((await resumed.ask()).config).toEqual(asked[2]?.config);
    expect((await resumed.ask()).config).toEqual((await study.ask()).config);
    await resumed.close();
  });

  it("saves in the middle of rounds only where some candidates are always out", async () => {
    const rounds = path.join(folder, "rounds.safetensors");
    const { study } = begin({ checkpoint: rounds });
    const batch = [await study.ask(), await study.ask(), await study.ask()];
    for (const candidate of batch.slice(0, 2)) await study.tell(candidate, 1);
    expect(await readCheckpoint(rounds)).toBeNull();
    await study.tell(batch[2]!, 1);
    expect((await readCheckpoint(rounds))?.state.iteration).toBe(3);
    const pool = path.join(folder, "pool.safetensors");
    const { study: busy } = begin({ checkpoint: pool });
    let out = await busy.ask();
    for (let i = 0; i < 6; i++) {
      const next = await busy.ask();
      await busy.tell(out, i);
      out = next;
    }
    const saved = await readCheckpoint(pool);
    expect(saved?.state.iteration).toBeGreaterThan(2);
    expect(saved?.state.asked).toHaveLength(1);
  });

  it("saves in the middle of no round after one that it was too early to save", async () => {
    const checkpoint = path.join(folder, "early.safetensors");
    const { study } = begin({ checkpoint });
    // The clock stands still, so that nothing is due after the first save; then it runs on in the middle of a round.
    let now = 1e6;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
    try {
      const round = async (): Promise<void> => {
        const batch = [await study.ask(), await study.ask()];
        for (const candidate of batch) await study.tell(candidate, 1);
      };
      clock.mockImplementation(() => now++);
      await round();
      expect((await readCheckpoint(checkpoint))?.state.iteration).toBe(2);
      clock.mockImplementation(() => now);
      await round();
      expect((await readCheckpoint(checkpoint))?.state.iteration).toBe(2);
      const batch = [await study.ask(), await study.ask()];
      now += 1e6;
      await study.tell(batch[0]!, 1);
      expect((await readCheckpoint(checkpoint))?.state.iteration).toBe(2);
      await study.tell(batch[1]!, 1);
      expect((await readCheckpoint(checkpoint))?.state.iteration).toBe(6);
    } finally {
      clock.mockRestore();
      await study.close();
    }
  });

  it("completes a proposal from the full model, and refuses what is no subnet", async () => {
    const { study, space } = begin();
    space.select(space.smallestConfig);
    const { config, fits } = await study.ask({ layer1: 4 });
    expect(config).toEqual({ ...space.fullConfig, layer1: 4 });
    expect(fits).toBe(space.cost(config, "macs") <= study.bounds.macs!);
    await expectCode("ERR_UNKNOWN_HYPERPARAMETER", () => study.ask({ layer9: 4 }));
    await expectCode("ERR_CHOICE", () => study.ask({ layer1: 5 }));
    await expectCode("ERR_ARGUMENT", () => study.ask(null as never));
    await expectCode("ERR_ARGUMENT", () => study.tell(3 as never, 1));
    for (const score of [Number.NaN, Number.POSITIVE_INFINITY, "1", null])
      await expectCode("ERR_SCORE_NAN", () => study.tell(config, score as number));
    await expectCode("ERR_NO_SCORE", () => study.score(config));
    expect(study.told).toBe(0);
  });

  it("never takes a candidate beyond the bounds for the best, and says so where there is none", async () => {
    const { study, space } = begin();
    await expectCode("ERR_NO_CANDIDATE", () => study.finish());
    await study.tell(space.fullConfig, 1000);
    expect(study.best).toBeNull();
    await expectCode("ERR_NO_CANDIDATE", () => study.finish());
    const candidate = await study.ask();
    await study.tell(candidate, 1);
    expect(study.best?.config).toEqual(candidate.config);
    // Telling again replaces the score, also that of the best.
    const other = await study.ask();
    await study.tell(other, 2);
    await study.tell(other, 0);
    expect(study.best?.config).toEqual(candidate.config);
    expect((await study.ask(other.config)).score).toBe(0);
    await study.finish();
    expect(space.active).toEqual(candidate.config);
  });

  it("knows its scores under other constraints too", async () => {
    const checkpoint = path.join(folder, "other.safetensors");
    const { study } = begin({ checkpoint });
    await optimize(study, 20);
    await study.close();
    const { space } = chainSpace(CHAIN);
    const tight = await space.study({ macs: "30%" }, { checkpoint }).open();
    const limit = 0.3 * space.cost(space.fullConfig, "macs");
    const within = study.candidates.filter(({ costs }) => costs.macs <= limit).map(({ score }) => score);
    expect(tight.best?.score ?? Number.NEGATIVE_INFINITY).toBe(Math.max(...within));
    expect(tight.told).toBe(20);
  });

  it("refuses mistakes at once", async () => {
    const { space } = chainSpace(CHAIN);
    await expectCode("ERR_UNKNOWN_CONSTRAINT", async () => space.study({ mac: "60%" } as never));
    await expectCode("ERR_CONSTRAINT_VALUE", async () => space.study({ macs: "60" } as never));
    await expectCode("ERR_UNKNOWN_CONFIG_KEY", async () => space.study({}, { seeds: 1 } as never));
    await expectCode("ERR_CONFIG_VALUE", async () => space.study({}, { seed: 0.5 }));
    const aborted = space.study({}, { signal: AbortSignal.abort() });
    await expectCode("ERR_ABORTED", () => aborted.ask());
    const checkpoint = path.join(folder, "foreign.safetensors");
    const { study } = begin({ checkpoint });
    await optimize(study, 2);
    await study.close();
    const { space: another } = chainSpace({ ...CHAIN, positions: [1, 1, 1, 1] });
    await expectCode("ERR_CHECKPOINT_MODEL", () => another.study({}, { checkpoint }).ask());
  });
});
