/** How many threads LibTorch gets by default: as many cores as this process may use. */
import { readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

/** The default number of threads, and why it is that. */
export interface ComputeThreads {
  count: number;
  /** What decided: the variable that the user set, the processor quota of a control group, or the cores. */
  source: "environment" | "quota" | "cores";
  reason: string;
}

/** Variables by which a user chooses the number of threads of LibTorch's parallel regions. */
const CHOSEN_BY = ["OMP_NUM_THREADS", "MKL_NUM_THREADS"] as const;

/** What is read: the machine's own, or a test's. */
export interface Surroundings {
  env: NodeJS.ProcessEnv;
  /** Cores that the process may run on: its affinity. */
  cores: number;
  /** Reads a file of /proc or /sys; null where there is none. */
  read(file: string): string | null;
}

const MACHINE: Surroundings = {
  get env() {
    return process.env;
  },
  get cores() {
    return os.availableParallelism();
  },
  read(file) {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return null;
    }
  },
};

/**
 * The number of threads that LibTorch gets where the user chose none. OpenMP knows the affinity of the process, but not
 * the quota of its control group: in a container with two processors on a host of 64 cores it would start 64 threads,
 * which wait for each other while the kernel holds them up.
 */
export function computeThreads({ env, cores, read }: Surroundings = MACHINE): ComputeThreads {
  for (const name of CHOSEN_BY) {
    const chosen = Number.parseInt(env[name] ?? "", 10);
    if (chosen > 0) return { count: chosen, source: "environment", reason: `${name} is ${env[name]}` };
  }
  const quota = processorQuota(read);
  // Rounded down, as half a core more would make every thread wait for one that is held up.
  const allowed = Math.max(1, Math.floor(quota));
  if (allowed < cores)
    return {
      count: allowed,
      source: "quota",
      reason: `the control group may use ${Number(quota.toFixed(2))} of ${cores} cores`,
    };
  return {
    count: cores,
    source: "cores",
    reason: `this process may run on ${cores} ${cores === 1 ? "core" : "cores"}`,
  };
}

/** The cores that this process may use, whatever number of threads the user chose. */
export function availableCores(): number {
  return computeThreads({ ...MACHINE, env: {} }).count;
}

/** Processors that the control groups of this process, its own and those around it, may use; infinite without a limit. */
function processorQuota(read: Surroundings["read"]): number {
  let least = Number.POSITIVE_INFINITY;
  for (const line of (read("/proc/self/cgroup") ?? "").split("\n")) {
    const [id, controllers, group] = fields(line);
    if (group === undefined) continue;
    const legacy = controllers.split(",").includes("cpu");
    if (!legacy && !(id === "0" && controllers === "")) continue;
    const roots = legacy ? [`/sys/fs/cgroup/${controllers}`, "/sys/fs/cgroup/cpu"] : ["/sys/fs/cgroup"];
    for (const root of roots) {
      // In a container, the path may be the host's, of which only the last part or nothing is seen.
      for (let at = path.posix.normalize(`/${group}`); ; at = path.posix.dirname(at)) {
        const folder = at === "/" ? root : `${root}${at}`;
        least = Math.min(least, legacy ? legacyQuota(read, folder) : quotaOf(read(`${folder}/cpu.max`)));
        if (at === "/") break;
      }
    }
  }
  return least;
}

/** `ID:CONTROLLERS:PATH`, of which the path may hold colons. */
function fields(line: string): [string, string, string?] {
  const [id = "", controllers = "", ...group] = line.split(":");
  return [id, controllers, group.length === 0 ? undefined : group.join(":")];
}

/** Of `cpu.max`: "200000 100000" or "max 100000", in microseconds. */
function quotaOf(text: string | null): number {
  const [quota, period] = (text ?? "").trim().split(/\s+/).map(Number);
  return quota !== undefined && period !== undefined && quota > 0 && period > 0
    ? quota / period
    : Number.POSITIVE_INFINITY;
}

function legacyQuota(read: Surroundings["read"], folder: string): number {
  return quotaOf(`${read(`${folder}/cpu.cfs_quota_us`) ?? ""} ${read(`${folder}/cpu.cfs_period_us`) ?? ""}`);
}
