/** The addon has a score for every loss of the table, by the same name; also by type. */
import { beforeAll, expect, it } from "vitest";

import { LOSS_TABLE, type LossName } from "../../lib/evaluation/losses";
import { initialize } from "../../lib/native/load";
import { makeScore } from "../../lib/native/score";

beforeAll(() => initialize());

it.each(Object.keys(LOSS_TABLE) as LossName[])("%s", (name) => {
  expect(makeScore(name).count()).toBe(0);
});
