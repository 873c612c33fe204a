/** The rank of this process in the group that it joined. */
let joined: number | null = null;

/** Null outside of a group. */
export function joinedRank(): number | null {
  return joined;
}

/** Called when a group is joined, and with null when it is left. */
export function setJoinedRank(rank: number | null): void {
  joined = rank;
}
