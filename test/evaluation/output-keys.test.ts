/** Names of an output's or a batch's element that no output has: they find nothing that JavaScript gives every object. */
import { expect, it } from "vitest";

import { elementAt } from "../../lib/data/data-source";
import { pickOutput } from "../../lib/evaluation/output-scores";
import { Tensor } from "../../lib/model/tensor";
import { expectCode } from "../support/tensors";

const HOSTILE = [
  "__proto__",
  "constructor",
  "constructor.prototype",
  "toString",
  "heads.__proto__",
  "heads.length",
  "heads.-1",
  "heads.1e9",
  "",
  ".",
  "a.".repeat(100_000),
  "x".repeat(1_000_000),
];

it.each(HOSTILE.map((key) => [key.slice(0, 30), key]))("%s", async (_, key) => {
  using a = Tensor.from([1, 2]);
  const { message } = await expectCode("ERR_SCORE_INPUT", () => pickOutput({ a, heads: [a] }, key));
  expect(message.length).toBeLessThan(11_000);
  await expectCode("ERR_BATCH", () => elementAt({ a }, key));
});

it("those that an output has are found", () => {
  using a = Tensor.from([1, 2]);
  expect(pickOutput({ heads: [a] }, "heads.0").tensor).toBe(a);
  expect(elementAt({ a }, "a")).toBe(a);
});
