import { describe, expect, it } from "vitest";

import { TorchSearchError } from "../../lib";

describe("TorchSearchError", () => {
  it("is an Error with a stable code and keeps its cause", () => {
    const cause = new RangeError("inner");
    const error = new TorchSearchError("ERR_EXAMPLE", "say what to change", { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "TorchSearchError", code: "ERR_EXAMPLE", cause });
    expect(String(error)).toBe("TorchSearchError: say what to change");
  });
});
