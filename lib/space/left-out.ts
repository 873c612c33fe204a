/** Widths that a subnet doesn't have, since a block that holds them is left out. */

/** The hyperparameters that a subnet has: those without an effect, inside blocks that are left out, are dropped. */
export function withoutLeftOut<Each extends { name: string; kind: string; selected: number | null }>(
  hyperparameters: readonly Each[],
): Each[] {
  const blocks = hyperparameters
    .filter(({ kind, selected }) => kind === "depth" && selected === 0)
    .map(({ name }) => name.replace(/\.depth$/, "."));
  const inside = (name: string): boolean =>
    blocks.some((block) => name.startsWith(block) && name !== `${block}depth`);
  return hyperparameters.filter(({ name }) => !inside(name));
}
