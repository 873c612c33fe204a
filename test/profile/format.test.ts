import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { parseInputSpec } from "../../lib/profile/input-spec";
import { formatBytes, formatCount, formatMilliseconds, formatShape } from "../../lib/profile/units";
import { formatTable } from "../../lib/util/table";

describe("units", () => {
  it.each([
    [0, "0"],
    [999, "999"],
    [1000, "1.000 k"],
    [999_949, "999.9 k"],
    [999_950, "1.000 M"],
    [1_814_073_344, "1.814 G"],
    [17_564_167_680_000, "17.56 T"],
  ])("count %d", (count, text) => expect(formatCount(count)).toBe(text));

  it.each([
    [12, "12 B"],
    [46_830_592, "44.66 MiB"],
    [1024 ** 2 - 1, "1.000 MiB"],
  ])("bytes %d", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [0, "0 ms"],
    [0.01234, "0.0123 ms"],
    [12.3456, "12.35 ms"],
    [2345.6, "2.346 s"],
  ])("milliseconds %d", (value, text) => expect(formatMilliseconds(value)).toBe(text));

  it("shapes", () => {
    expect(formatShape([1, 3, 224, 224])).toBe("1x3x224x224");
    expect(formatShape([])).toBe("scalar");
  });
});

describe("tables", () => {
  it("align columns and end no line in spaces", () => {
    const table = formatTable(
      [{ title: "name" }, { title: "n", align: "right" }],
      [
        ["a", "1"],
        ["long", "100"],
      ],
      [["sum", ""]],
    );
    expect(table).toBe("name    n\n----  ---\na       1\nlong  100\n----  ---\nsum\n");
  });
});

describe("input specs", () => {
  it("read shapes, types and names", () => {
    expect(parseInputSpec("1x3x224x224")).toEqual({
      keyword: null,
      shape: [1, 3, 224, 224],
      dtype: "float32",
    });
    expect(parseInputSpec("1x16:int64")).toEqual({ keyword: null, shape: [1, 16], dtype: "int64" });
    expect(parseInputSpec("mask=1,16:bool")).toEqual({ keyword: "mask", shape: [1, 16], dtype: "bool" });
    expect(parseInputSpec("scalar")).toEqual({ keyword: null, shape: [], dtype: "float32" });
  });

  it("read back any shape", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(10_000), { minLength: 1, maxLength: 6 }), (shape) => {
        expect(parseInputSpec(formatShape(shape)).shape).toEqual(shape);
      }),
    );
  });

  it.each(["", "1x", "x3", "1*3", "1x-3", "1x3:float", "1x3:", "=1x3", "a b=1"])("refuse %j", (text) => {
    expect(() => parseInputSpec(text)).toThrow(expect.objectContaining({ code: "ERR_INPUT_SPEC" }) as Error);
  });
});
