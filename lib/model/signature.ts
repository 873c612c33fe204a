/** Reading the signature of a model's `forward`. */

/** One argument of a `forward`. */
export interface ForwardArgument {
  name: string;
  /** As TorchScript spells it, such as `Tensor`, `int` or `Optional[Tensor]`. */
  type: string;
  /** Whether it has a default. */
  optional: boolean;
}

/** The arguments in a signature such as `forward(x: Tensor, scale: float = 1.) -> Tensor`. */
export function argumentsOf(signature: string): ForwardArgument[] {
  const start = signature.indexOf("(");
  if (start < 0) return [];
  const parts: string[] = [];
  let depth = 0;
  let part = "";
  for (const char of signature.slice(start + 1)) {
    if (char === ")" && depth === 0) break;
    if ("([".includes(char)) depth += 1;
    if (")]".includes(char)) depth -= 1;
    if (char === "," && depth === 0) {
      parts.push(part);
      part = "";
    } else part += char;
  }
  parts.push(part);
  return parts.flatMap((text) => {
    const match = /^\s*(\w+)\s*:\s*([^=]+?)\s*(=.*)?$/s.exec(text);
    return match === null
      ? []
      : [{ name: match[1] as string, type: match[2] as string, optional: match[3] !== undefined }];
  });
}

/** Whether an argument is a number or a boolean. */
export function isNumeric({ type }: ForwardArgument): boolean {
  return /^(Optional\[)?(int|float|bool)\]?\??$/.test(type);
}
