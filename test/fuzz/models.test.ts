/** 500 mutated models, and the files that were faults once. The same every time: `npm run fuzz` tries others. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { readCorpus } from "./corpus";
import { expectNoFaults } from "./run-kind";
import { Session } from "./session";

let session: Session;
beforeAll(async () => {
  session = await Session.open();
});
afterAll(() => session?.close());

describe("models from strangers", () => {
  it("crash, hang and write nothing, and give no plain error", { timeout: 900_000 }, () =>
    expectNoFaults(session, "model"),
  );
});

describe("files that were faults once", () => {
  it.each(readCorpus().map((entry) => [entry.sample.name, entry.sample.what, entry] as const))(
    "%s: %s",
    async (_, __, { kind, sample }) => {
      expect((await session.read(kind, sample)).faults).toEqual([]);
    },
  );
});
