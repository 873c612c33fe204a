/** The package's entry points, and code that imports them from this checkout. */
import { readdirSync } from "node:fs";
import path from "node:path";

import { root } from "./zoo";

/** What a program can import, and the source file of each: `torchsearch`, `torchsearch/contract`, … */
export const ENTRY_POINTS: ReadonlyMap<string, string> = new Map([
  ["torchsearch", path.join(root, "lib", "index.ts")],
  ...readdirSync(path.join(root, "lib", "entries")).map((file): [string, string] => [
    `torchsearch/${path.parse(file).name}`,
    path.join(root, "lib", "entries", file),
  ]),
]);

/** Code that imports the package's entry points, rewritten to import their sources. */
export function fromCheckout(code: string): string {
  return code.replaceAll(/"(torchsearch(?:\/\w+)?)"/g, (text, entry: string) => {
    const file = ENTRY_POINTS.get(entry);
    return file === undefined ? text : JSON.stringify(file);
  });
}
