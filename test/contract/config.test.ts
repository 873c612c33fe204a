import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { baseConfigDefaults, type SearchConfig, sanitizeConfig } from "../../lib/contract/config";

const sanitize = (config: unknown): SearchConfig =>
  sanitizeConfig(config as Partial<SearchConfig>, baseConfigDefaults());

describe("search config", () => {
  it("has the keys of the reference, and signal, onProgress, seed and group beyond it", () => {
    expect(Object.keys(baseConfigDefaults())).toEqual([
      "checkpoint",
      "verbose",
      "forwardLoop",
      "dataLoader",
      "collectFunc",
      "maxIterDataLoader",
      "scoreFunc",
      "lossFunc",
      "deployment",
      "signal",
      "onProgress",
      "seed",
      "group",
      "dataShards",
    ]);
  });

  it("fills in defaults; null, undefined and {} mean nothing given", () => {
    for (const nothing of [null, undefined, {}, { checkpoint: undefined }]) {
      expect(sanitize(nothing)).toEqual(baseConfigDefaults());
    }
    expect(sanitize({ maxIterDataLoader: 3 }).maxIterDataLoader).toBe(3);
  });

  it.each([
    ["checkpoint", 5, "file path"],
    ["checkpoint", "", "file path"],
    ["verbose", "yes", "true or false"],
    ["verbose", null, "true or false"],
    ["forwardLoop", 1, "function"],
    ["dataLoader", 7, "iterable"],
    ["dataLoader", "batches", "iterable"],
    ["dataLoader", {}, "iterable"],
    ["collectFunc", [], "function"],
    ["maxIterDataLoader", 0, "at least 1"],
    ["maxIterDataLoader", 1.5, "at least 1"],
    ["maxIterDataLoader", Number.NaN, "at least 1"],
    ["scoreFunc", "accuracy", "function"],
    ["lossFunc", {}, "function"],
    ["deployment", "gpu", "object"],
    ["deployment", { runtime: 3 }, "strings"],
    ["signal", {}, "AbortSignal"],
    ["onProgress", true, "function"],
    ["seed", 0.5, "whole number"],
    ["seed", "1", "whole number"],
  ])("refuses %s = %j", (key, value, words) => {
    const message = expect.stringMatching(
      new RegExp(`expected .*${words}.* for ${key} but received`),
    ) as string;
    expect(() => sanitize({ [key]: value })).toThrow(
      expect.objectContaining({ code: "ERR_CONFIG_VALUE", message }),
    );
  });

  it.each([
    ["score_func", "scoreFunc"],
    ["scorefunc", "scoreFunc"],
    ["checkpiont", "checkpoint"],
    ["max_iter_data_loader", "maxIterDataLoader"],
    ["dataloader", "dataLoader"],
  ])("names the nearest known key of %s", (wrong, right) => {
    const message = expect.stringContaining(`did you mean "${right}"`) as string;
    expect(() => sanitize({ [wrong]: null })).toThrow(
      expect.objectContaining({ code: "ERR_UNKNOWN_CONFIG_KEY", message }),
    );
  });

  it("refuses any key it does not know, also inherited names", () => {
    const known = Object.keys(baseConfigDefaults());
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.constantFrom("toString", "constructor", "hasOwnProperty")),
        (key) => {
          fc.pre(!known.includes(key) && key !== "__proto__");
          expect(() => sanitize({ [key]: 1 })).toThrow(
            expect.objectContaining({ code: "ERR_UNKNOWN_CONFIG_KEY" }),
          );
        },
      ),
    );
  });

  it("lets only one of forwardLoop and dataLoader stand", () => {
    expect(() => sanitize({ forwardLoop: () => {}, dataLoader: [] })).toThrow(
      expect.objectContaining({
        code: "ERR_CONFIG_VALUE",
        message: expect.stringContaining("only one of") as string,
      }),
    );
    expect(sanitize({ dataLoader: [] }).dataLoader).toEqual([]);
  });

  it("checks a searcher's own keys by its rules, else by the type of the default", () => {
    const defaults = {
      ...baseConfigDefaults(),
      population: 100,
      strict: true,
      name: "a",
      extra: null as unknown,
    };
    const own = (config: object) => sanitizeConfig(config as Partial<typeof defaults>, defaults);
    expect(own({ population: 5, extra: [1] })).toMatchObject({ population: 5, extra: [1] });
    expect(() => own({ population: "5" })).toThrow(expect.objectContaining({ code: "ERR_CONFIG_VALUE" }));
    expect(() => own({ strict: 1 })).toThrow(expect.objectContaining({ code: "ERR_CONFIG_VALUE" }));
    expect(() => own({ name: 1 })).toThrow(expect.objectContaining({ code: "ERR_CONFIG_VALUE" }));
    const rule = { expected: "an even number", accepts: (value: unknown) => Number(value) % 2 === 0 };
    expect(() => sanitizeConfig({ population: 5 }, defaults, { population: rule })).toThrow(
      expect.objectContaining({ message: expect.stringContaining("an even number") as string }),
    );
  });

  it("never talks where the default is silent (ranks other than 0)", () => {
    expect(
      sanitizeConfig({ verbose: true }, { ...baseConfigDefaults(), verbose: false as boolean }).verbose,
    ).toBe(false);
  });
});
