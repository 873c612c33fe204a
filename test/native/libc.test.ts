/** Other C libraries than glibc, for which there is no LibTorch. */
import { describe, expect, it } from "vitest";

import { isWithoutGlibc, unsupportedLibc } from "../../lib/native/libc";

describe.skipIf(process.platform !== "linux")("the C library", () => {
  it("is told by Node's report", () => {
    // The addon of these tests was built with glibc.
    expect(isWithoutGlibc()).toBe(false);
    // What Node's report has on Alpine Linux: no glibcVersionRuntime.
    expect(isWithoutGlibc(() => ({ header: { nodejsVersion: "v20.17.0" } }))).toBe(true);
  });

  it("is named, with a remedy and the error that led to it", () => {
    const cause = new Error("no LibTorch");
    const error = unsupportedLibc(cause);
    expect(error.code).toBe("ERR_LIBC");
    expect(error.message).toContain("node:20-slim");
    expect(error.cause).toBe(cause);
  });
});
