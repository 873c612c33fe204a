import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { decodeValue, encodeValue } from "../../lib/distributed/values";

describe("values in a group's store", () => {
  it("come back as they were, every number too", () => {
    const value = fc.dictionary(fc.string(), fc.jsonValue());
    const numbers = fc.array(fc.double());
    fc.assert(
      fc.property(value, numbers, (given, list) => {
        fc.pre(!JSON.stringify(given).includes("$number"));
        const back = decodeValue<{ given: unknown; list: number[] }>(
          encodeValue({ given, list }),
          "given",
          "list",
        );
        expect(back.list.every((each, at) => Object.is(each, list[at]))).toBe(true);
        expect(JSON.stringify(back.given)).toBe(JSON.stringify(given));
      }),
    );
  });

  it.each(["", "{", "null", "7", "[]", '"text"', "{}", '{"other": 1}', '{"__proto__": {"rank": 0}}'])(
    "are refused where a stranger wrote %s",
    (text) => {
      expect(() => decodeValue<{ rank: number }>(text, "rank")).toThrow(
        expect.objectContaining({ code: "ERR_GROUP_MISMATCH" }),
      );
    },
  );
});
