/** The addon's names: each is spelled one way, and an earlier spelling is refused with the present one. */
import { describe, expect, it } from "vitest";

import { addon } from "../../lib/native/addon";

const refused = (make: () => unknown): { code: string; message: string } => {
  try {
    make();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error("nothing was refused");
};

describe("names of the addon", () => {
  it.each([
    ["bn_scale", '"bn_scale" is now "bnScale"'],
    [
      "l3",
      'importance must be "l1", "l2", "fpgm", "bnScale", "taylor", "activation", "lamp", "obd", "obs" or "random", not "l3".',
    ],
  ])("refuses the importance %s", (name, reason) => {
    const { code, message } = refused(() => new (addon().Importance)(name, {}));
    expect(code).toBe("ERR_CONFIG_VALUE");
    expect(message).toContain(reason);
  });

  it.each([
    ["mse", '"mse" is now "meanSquaredError"'],
    ["hinge", 'The loss must be "crossEntropy" or "meanSquaredError", not "hinge".'],
  ])("refuses the loss %s", (loss, reason) => {
    const { code, message } = refused(() => new (addon().Importance)("taylor", { loss }));
    expect(code).toBe("ERR_CONFIG_VALUE");
    expect(message).toContain(reason);
  });

  it.each([
    ["topk", '"topk" is now "topKAccuracy"'],
    ["f1", 'A score\'s kind must be "topKAccuracy", "crossEntropy"'],
  ])("refuses the score %s", (kind, reason) => {
    const { code, message } = refused(() => new (addon().Score)(kind as "crossEntropy", {}));
    expect(code).toBe("ERR_SCORE_INPUT");
    expect(message).toContain(reason);
  });
});
