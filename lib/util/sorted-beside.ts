import { Breather } from "./breather";

/** Items that are sorted in one go. */
const RUN = 1 << 12;

/** Texts as `sort()` orders them, with turns of the event loop in between: sorted runs are merged. */
export async function sortedBeside(texts: readonly string[]): Promise<string[]> {
  const breather = new Breather();
  let runs: string[][] = [];
  for (let at = 0; at < texts.length; at += RUN) {
    runs.push(texts.slice(at, at + RUN).sort());
    await breather.breathe();
  }
  while (runs.length > 1) {
    const merged: string[][] = [];
    for (let at = 0; at < runs.length; at += 2)
      merged.push(await merge(runs[at] as string[], runs[at + 1] ?? [], breather));
    runs = merged;
  }
  return runs[0] ?? [];
}

async function merge(a: readonly string[], b: readonly string[], breather: Breather): Promise<string[]> {
  const merged: string[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const first = j >= b.length || (i < a.length && (a[i] as string) <= (b[j] as string));
    merged.push((first ? a[i++] : b[j++]) as string);
    if (merged.length % RUN === 0) await breather.breathe();
  }
  return merged;
}
