import { describe, expect, it } from "vitest";
import { TorchSearchError } from "../../lib/errors";
import { checkConfig, completeConfig } from "../../lib/util/complete-config";
import { suggestion } from "../../lib/util/nearest";
import { presentName, renamed } from "../../lib/util/renamed";
import { listOf, oneOf, orNull, plainRules } from "../../lib/util/rules";

const refusal = (code: string, ...words: string[]) =>
  expect.objectContaining({
    code,
    message: expect.stringMatching(new RegExp(words.join(".*"))) as string,
  }) as Error;

describe("names that had another spelling", () => {
  it.each([
    ["bn_scale", ["l1", "bnScale"], "bnScale"],
    ["mse", ["crossEntropy", "meanSquaredError"], "meanSquaredError"],
    ["kl", ["klDivergence"], "klDivergence"],
    ["gradientLoss", ["loss", "seed"], "loss"],
    ["--divisor", ["--mode", "--channel-divisor"], "--channel-divisor"],
    ["subnets", ["random-subnets"], "random-subnets"],
  ])("%s among %j is now %s", (old, accepted, present) => {
    expect(presentName(old, accepted)).toBe(present);
    expect(renamed(old, accepted)).toBe(`"${old}" is now "${present}"`);
  });

  it("knows a row only where the present name is accepted, and no inherited names", () => {
    expect(renamed("bn_scale", ["l1", "l2"])).toBeNull();
    expect(renamed("l1", ["l1"])).toBeNull();
    expect(renamed("toString", ["toString"])).toBeNull();
  });

  it("goes before the nearest name", () => {
    expect(suggestion("bn_scale", ["bn_scales", "bnScale"])).toBe(
      '"bn_scale" is now "bnScale" (known are bn_scales, bnScale)',
    );
  });
});

describe("completing a config", () => {
  interface Options {
    importance: string;
    divisor: number | null;
    name: string;
    extra: unknown;
  }
  const defaults: Options = { importance: "l1", divisor: null, name: "a", extra: null };
  const rules = { importance: oneOf(["l1", "bnScale"]), divisor: orNull(plainRules.positiveInteger) };
  const complete = (config: unknown) => completeConfig(config as Partial<Options>, defaults, rules);

  it("fills in defaults; undefined counts as not given", () => {
    expect(complete(null)).toEqual(defaults);
    expect(complete({ divisor: undefined, extra: 5 })).toEqual({ ...defaults, extra: 5 });
    expect(complete({ divisor: 3 }).divisor).toBe(3);
  });

  it("names the present spelling of a value, else the nearest one", () => {
    expect(() => complete({ importance: "bn_scale" })).toThrow(
      refusal("ERR_CONFIG_VALUE", "one of l1, bnScale for importance", '"bn_scale" is now "bnScale"'),
    );
    expect(() => complete({ importance: "bnscales" })).toThrow(
      refusal("ERR_CONFIG_VALUE", 'did you mean "bnScale"'),
    );
    expect(() => complete({ importance: 3 })).toThrow(
      refusal("ERR_CONFIG_VALUE", "received 3 of type number$"),
    );
  });

  it("names the wrong item of a list", () => {
    const check = (value: unknown) =>
      checkConfig({ metrics: value }, { metrics: listOf(["flops", "params"]) });
    expect(check(["params", "flops"])).toEqual({ metrics: ["params", "flops"] });
    expect(() => check(["flops", "parms"])).toThrow(refusal("ERR_CONFIG_VALUE", 'did you mean "params"'));
    expect(() => check(["flops", 3])).toThrow(refusal("ERR_CONFIG_VALUE", "it holds 3"));
    expect(() => check("flops")).toThrow(
      refusal("ERR_CONFIG_VALUE", "a list with any of flops, params for metrics"),
    );
  });

  it("goes by the default's type where a key has no rule", () => {
    expect(() => complete({ name: 3 })).toThrow(refusal("ERR_CONFIG_VALUE", "a string for name"));
  });

  it("refuses unknown keys and whatever is not a plain record", () => {
    expect(() => complete({ divisr: 3 })).toThrow(
      refusal("ERR_UNKNOWN_CONFIG_KEY", 'did you mean "divisor"'),
    );
    expect(() => complete({ toString: 3 })).toThrow(
      refusal("ERR_UNKNOWN_CONFIG_KEY", 'config key "toString"'),
    );
    for (const config of [[], 5, "x", new Map()])
      expect(() => complete(config)).toThrow(refusal("ERR_CONFIG_VALUE", "an object or nothing for config"));
  });

  it("asks for a key whose default its rule refuses", () => {
    const required = (config: object) =>
      completeConfig<{ path?: string }>(config, { path: undefined }, { path: plainRules.path });
    expect(required({ path: "x" })).toEqual({ path: "x" });
    expect(() => required({})).toThrow(
      refusal("ERR_CONFIG_VALUE", "file path for path but received undefined"),
    );
  });

  it("speaks with the words of the caller", () => {
    const words = {
      key: "option",
      prefix: "images.",
      error: (_: string, message: string) => new TorchSearchError("ERR_CLI_OPTION", `here: ${message}`),
    };
    const check = (config: object) => checkConfig(config, { crop: plainRules.positiveInteger }, words);
    expect(check({ crop: 3 })).toEqual({ crop: 3 });
    expect(() => check({ crop: 0 })).toThrow(refusal("ERR_CLI_OPTION", "^here: .* for images.crop"));
    expect(() => check({ cropp: 3 })).toThrow(
      refusal("ERR_CLI_OPTION", 'here: unknown option "images.cropp"'),
    );
  });
});
