/** Names that a message lists at most. */
const MOST = 40;
/** Characters of a name in a list. */
const LONGEST = 200;

/** Some names or numbers in a message: as many as a person reads, and how many are left out. "none" for none. */
export function listed(items: readonly (string | number)[], most = MOST): string {
  if (items.length === 0) return "none";
  const shown = items.slice(0, most).map((item) => {
    const text = String(item);
    return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  });
  const left = items.length - shown.length;
  return left > 0 ? `${shown.join(", ")} and ${left} more` : shown.join(", ");
}
