/** Files that were made by hand to do harm: each is refused in words, or read like any other. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Attack } from "./attacks/attack";
import { checkpoints } from "./attacks/checkpoints";
import { ARRAYS, documents } from "./attacks/data";
import { EXPORTED } from "./attacks/exported";
import { IMAGES } from "./attacks/images";
import { Session } from "./session";

let session: Session;
beforeAll(async () => {
  session = await Session.open();
});
afterAll(() => session?.close());

const ATTACKS: Readonly<Record<string, (bases: string) => readonly Attack[]>> = {
  images: () => IMAGES,
  "exported programs": () => EXPORTED,
  arrays: () => ARRAYS,
  checkpoints,
  documents,
};

describe("hand-made attacks", () => {
  it.each(Object.keys(ATTACKS))("%s", { timeout: 600_000 }, async (group) => {
    const attacks = (ATTACKS[group] as (typeof ATTACKS)[string])(session.bases);
    const wrong: string[] = [];
    for (const attack of attacks) {
      const { steps, faults } = await session.read(attack.kind, attack);
      const result = steps === null ? "none" : (Object.values(steps).find((each) => each !== "ok") ?? "ok");
      const row = `${attack.kind} ${attack.name}: ${attack.what}`;
      wrong.push(...faults.map((fault) => `${row}: ${fault}`));
      if (![attack.wanted].flat().includes(result)) wrong.push(`${row}: ${result}, not ${attack.wanted}`);
    }
    expect(wrong).toEqual([]);
    expect(attacks.length).toBeGreaterThan(10);
  });
});
