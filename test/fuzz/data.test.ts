/** 200 mutated files of each kind of data. The same every time: `npm run fuzz` tries others. */
import { afterAll, beforeAll, describe, it } from "vitest";

import { KINDS } from "./kinds";
import { expectNoFaults } from "./run-kind";
import { Session } from "./session";

let session: Session;
beforeAll(async () => {
  session = await Session.open();
});
afterAll(() => session?.close());

describe("files from strangers crash, hang and write nothing, and give no plain error", () => {
  it.each(Object.keys(KINDS).filter((kind) => kind !== "model"))("%s", { timeout: 600_000 }, (kind) =>
    expectNoFaults(session, kind),
  );
});
