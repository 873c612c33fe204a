/** Mutations of TorchScript code. */
import type { Dice } from "../dice";
import { EXTREMES } from "./values";

const PIECES = [
  ..."()[],:~#\\\"'\0\n",
  ..."  |None|True|inf|nan|1e999|self|Tensor|Optional[|->|**|fork(|CONSTANTS.c0".split("|"),
];

const FUNCTIONS = (
  "add mul view reshape as_strided expand cat empty zeros conv2d linear matmul permute slice select index pad " +
  "_convolution batch_norm embedding lstm einsum repeat unfold max_pool2d avg_pool2d softmax clone item len size"
).split(" ");

/** Code with one to three changes. */
export function mutatedCode(code: string, dice: Dice): string {
  let text = code;
  for (let times = 1 + dice.below(3); times > 0; times--) text = dice.pick(CHANGES)(text, dice);
  return text;
}

const CHANGES: readonly ((text: string, dice: Dice) => string)[] = [
  (text, dice) => {
    const lines = text.split("\n");
    lines.splice(dice.below(lines.length), 1);
    return lines.join("\n");
  },
  (text, dice) => {
    const lines = text.split("\n");
    lines.splice(dice.below(lines.length), 0, dice.pick(lines));
    return lines.join("\n");
  },
  (text, dice) => replaceOne(text, /-?\d+/g, String(dice.pick(EXTREMES)), dice),
  (text, dice) => {
    const words = text.match(/[A-Za-z_]\w*/g);
    return words === null ? text : replaceOne(text, /[A-Za-z_]\w*/g, dice.pick(words), dice);
  },
  (text, dice) => replaceOne(text, /torch\.\w+/g, `torch.${dice.pick(FUNCTIONS)}`, dice),
  (text, dice) => {
    const at = dice.below(text.length);
    return text.slice(0, at) + text.slice(at + 1 + dice.below(8));
  },
  (text, dice) => {
    const at = dice.below(text.length);
    return text.slice(0, at) + dice.pick(PIECES) + text.slice(at);
  },
];

function replaceOne(text: string, pattern: RegExp, by: string, dice: Dice): string {
  const found = [...text.matchAll(pattern)];
  if (found.length === 0) return text;
  const { index, 0: old } = dice.pick(found);
  return text.slice(0, index) + by + text.slice(index + old.length);
}
