// Makes a failing tree small: tries its smaller trees, and goes on from the first that breaks the same promise.

/** @returns {Promise<{ tree: object, result: object, tried: number }>} the smallest tree found, and how it fails */
export async function reduce(lane, tree, kind, { most = 150, seconds = 60 } = {}) {
  const end = performance.now() + seconds * 1000;
  let tried = 0;
  let best = { tree, result: await lane.check(tree) };
  const seen = new Set([JSON.stringify(tree)]);
  for (let again = true; again; ) {
    again = false;
    for (const candidate of await lane.smaller(best.tree)) {
      const key = JSON.stringify(candidate);
      if (seen.has(key)) continue;
      seen.add(key);
      if (++tried > most || performance.now() > end) return { ...best, tried };
      const result = await lane.check(candidate);
      if (result.invalid !== undefined || !result.faults.some((fault) => fault.kind === kind)) continue;
      best = { tree: candidate, result };
      again = true;
      break;
    }
  }
  return { ...best, tried };
}
