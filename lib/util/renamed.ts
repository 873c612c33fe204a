/** Names that had another spelling before: the one table of them, and the text that errors show. */

/**
 * The earlier spelling of a value, key or option, and the present one. A row is used only where the present name is
 * among those that are accepted, so one table serves all of them.
 */
const RENAMED: Readonly<Record<string, readonly string[]>> = {
  // Values.
  bn_scale: ["bnScale"],
  out_channels: ["outChannels"],
  hidden_width: ["hiddenWidth"],
  num_heads: ["numHeads"],
  cross_entropy: ["crossEntropy"],
  mse: ["meanSquaredError"],
  kl: ["klDivergence"],
  topk: ["topKAccuracy", "accuracy"],
  // Keys and options.
  loader: ["data"],
  gradientLoss: ["loss"],
  lossFunc: ["loss"],
  divisor: ["channelDivisor"],
  config: ["settings"],
  allowUnsafeOperators: ["allowUnsafe"],
  random: ["randomSubnets"],
  subnets: ["randomSubnets"],
};

/**
 * The present spelling of a name, or null when it never changed.
 *
 * @param name as the user gave it; also an option of the command, such as `--divisor`
 * @param accepted the names that are accepted there
 */
export function presentName(name: string, accepted: readonly string[]): string | null {
  const key = camelCase(name);
  if (!Object.hasOwn(RENAMED, key)) return null;
  const present = RENAMED[key] ?? [];
  return accepted.find((candidate) => present.includes(camelCase(candidate))) ?? null;
}

/** The remedy for an earlier spelling: `"bn_scale" is now "bnScale"`; null when the name never changed. */
export function renamed(name: string, accepted: readonly string[]): string | null {
  const present = presentName(name, accepted);
  return present === null ? null : `"${name}" is now "${present}"`;
}

/** `--channel-divisor` as `channelDivisor`; names in snake case stay as they are. */
function camelCase(name: string): string {
  return name.replace(/^-+/, "").replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
