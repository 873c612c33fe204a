/**
 * From a trained model to a small one as good.
 *
 * @module torchsearch/compress
 */
export { type CompressResult, compress } from "../compress/compress";
export type { Interval } from "../compress/interval";
export type { CompressOptions } from "../compress/options";
export type { StepEnd, StepRecord } from "../compress/plan";
export type { RatingKind } from "../compress/rating";
export type { TriedImportance } from "../space/importance";
