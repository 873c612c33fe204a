import fc from "fast-check";

/**
 * Property tests draw from a fixed seed, so that a commit's tests end the same each time; the nightly workflow gives
 * each run a seed of its own (`TORCHSEARCH_PROPERTY_SEED`). A failure prints its seed and path in either case.
 */
const given = process.env.TORCHSEARCH_PROPERTY_SEED;
const seed = given === undefined ? 20261128 : Number(given);
if (!Number.isInteger(seed)) throw new Error(`TORCHSEARCH_PROPERTY_SEED isn't a whole number: ${given}`);
fc.configureGlobal({ seed });
