export { type FormatProfileOptions, formatProfile } from "./format";
export { type InputSpec, parseInputSpec, randomInputs } from "./input-spec";
export { profile } from "./profile";
export type { LatencyProfile, OperatorProfile, Profile, ProfileMetric, ProfileOptions } from "./types";
