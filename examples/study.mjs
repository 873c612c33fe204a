// An optimizer of one's own, without a class: asks for candidates, tells their scores. Here it is a walk that mutates one
// of the five best. Killed and started again with the same checkpoint, it goes on as if it had never stopped.
//
//   node examples/study.mjs [CHECKPOINT] [CANDIDATES]
import { digitsConfig, digitsSpace, printResult } from "./searchers/digits-space.mjs";

const [, , checkpoint = null, candidates = "40"] = process.argv;
const space = await digitsSpace();
const study = await space
  .study({ flops: "60%" }, { ...(await digitsConfig()), checkpoint, minBudgetUse: 0.85 })
  .open();

/** A subnet near a good one, or null while too few are known. */
function near() {
  const parents = study.candidates.sort((a, b) => b.score - a.score).slice(0, 5);
  if (parents.length < 5) return null;
  const { config } = study.random.choice(parents);
  const changed = space.hyperparameters.filter(() => study.random.chance(0.2));
  return {
    ...config,
    ...Object.fromEntries(changed.map(({ name, choices }) => [name, study.random.choice(choices)])),
  };
}

while (study.told < Number(candidates)) {
  const proposal = near();
  // What exceeds the bounds is not worth a score: a random subnet within them is scored instead.
  const fits = proposal !== null && space.cost(proposal, "flops") <= study.bounds.flops;
  const candidate = await study.ask(fits ? proposal : undefined);
  await study.tell(candidate, candidate.score ?? (await study.score(candidate)));
}
await printResult(await study.finish());
