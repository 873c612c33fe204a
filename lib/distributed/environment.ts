/** Where the other processes are, by the environment variables of torchrun, Slurm, or whoever sets the same four. */
import { TorchSearchError } from "../errors";

/** A process's place in a group. */
export interface GroupPlace {
  /** This process's number, from 0. */
  rank: number;
  /** How many processes there are. */
  worldSize: number;
  /** Where the store is: rank 0's machine. */
  address: string;
  port: number;
  /** How often all processes were started again. */
  restarts: number;
  /** Whether torchrun's agent has the store, rather than rank 0. */
  agentHasStore: boolean;
}

/** The parts that a caller may give instead. */
export type GivenPlace = Partial<Pick<GroupPlace, "rank" | "worldSize" | "address" | "port">>;

const VARIABLES = {
  rank: "RANK",
  worldSize: "WORLD_SIZE",
  address: "MASTER_ADDR",
  port: "MASTER_PORT",
} as const;

type Part = keyof typeof VARIABLES;
const PARTS = Object.keys(VARIABLES) as Part[];

/** Ports that Slurm's jobs get, by their number. */
const SLURM_PORTS = { first: 29_600, count: 2_000 };

/**
 * A process's place, from what is given and, for the rest, from the environment.
 *
 * @throws `ERR_GROUP_ENV` when something is missing, or is no such value
 */
export function groupPlace(given: GivenPlace, env: NodeJS.ProcessEnv): GroupPlace {
  const set = (name: string): string | undefined => (env[name]?.trim() ? env[name]?.trim() : undefined);
  const slurm = set("RANK") === undefined && set("WORLD_SIZE") === undefined ? slurmPlace(set) : {};
  const found = Object.fromEntries(
    PARTS.map((part) => [part, given[part] ?? set(VARIABLES[part]) ?? slurm[part]]),
  ) as Record<Part, string | number | undefined>;
  const missing = PARTS.filter((part) => found[part] === undefined);
  if (missing.length > 0) throw incomplete(missing);
  const source = (part: Part): string => (given[part] === undefined ? VARIABLES[part] : part);
  const worldSize = whole(source("worldSize"), found.worldSize, 1, 65_536);
  const rank = whole(source("rank"), found.rank, 0, worldSize - 1);
  const port = whole(source("port"), found.port, 1, 65_535);
  const restarts = set("TORCHELASTIC_RESTART_COUNT") ?? set("SLURM_RESTART_COUNT") ?? "0";
  return {
    rank,
    worldSize,
    address: String(found.address),
    port,
    restarts: whole("TORCHELASTIC_RESTART_COUNT", restarts, 0, Number.MAX_SAFE_INTEGER),
    // An own address or port names another store than the agent's.
    agentHasStore:
      set("TORCHELASTIC_USE_AGENT_STORE") === "True" &&
      given.address === undefined &&
      given.port === undefined,
  };
}

function slurmPlace(set: (name: string) => string | undefined): Partial<Record<Part, string>> {
  const rank = set("SLURM_PROCID");
  const worldSize = set("SLURM_NTASKS");
  if (rank === undefined || worldSize === undefined) return {};
  const job = Number(set("SLURM_JOB_ID") ?? 0);
  const nodes = set("SLURM_STEP_NODELIST") ?? set("SLURM_JOB_NODELIST");
  return {
    rank,
    worldSize,
    ...(nodes !== undefined && { address: firstHost(nodes) }),
    port: String(SLURM_PORTS.first + (job % SLURM_PORTS.count)),
  };
}

/** The first name of a list of Slurm's, such as `node[07-09,12],gpu1`: `node07`. */
export function firstHost(nodes: string): string {
  const [, prefix, ranges, suffix] = /^([^,[]+)(?:\[([^\]]*)\])?([^,[]*)/.exec(nodes) ?? [];
  if (ranges === undefined) return prefix ?? nodes;
  return `${prefix}${ranges.split(/[-,]/)[0]}${suffix ?? ""}`;
}

function incomplete(missing: readonly Part[]): TorchSearchError {
  const names = missing.map((part) => VARIABLES[part]).join(", ");
  const none = missing.length === PARTS.length;
  return new TorchSearchError(
    "ERR_GROUP_ENV",
    none
      ? "This process was not started as one of a group: start it under torchrun, Slurm or `torchsearch launch`, set RANK, " +
          "WORLD_SIZE, MASTER_ADDR and MASTER_PORT, or give joinGroup rank, worldSize, address and port."
      : `The group's environment is incomplete, because ${names} ${missing.length === 1 ? "is" : "are"} not set: set ` +
          `${missing.length === 1 ? "it" : "them"} on every rank, or give joinGroup ${missing.join(", ")}.`,
  );
}

function whole(name: string, value: unknown, least: number, most: number): number {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  if (Number.isSafeInteger(number) && (number as number) >= least && (number as number) <= most)
    return number as number;
  throw new TorchSearchError(
    "ERR_GROUP_ENV",
    `expected a whole number from ${least} to ${most} for ${name} but received ${JSON.stringify(value)}`,
  );
}
