/** Processes as others on the same file system know them: whether the one that left a file is still there. */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** A process, in a form that files can hold. */
export interface ProcessMark {
  /** Where process numbers mean the same: see {@link placeOfProcesses}. */
  place: string;
  pid: number;
  /** When it started, in the system's own ticks; empty where that isn't known. */
  started: string;
}

let place: string | undefined;

/**
 * Where process numbers mean the same: the machine since it was started, and the container on it, as eight hexadecimal
 * digits.
 */
export function placeOfProcesses(): string {
  place ??= createHash("sha256")
    .update(
      [
        hostname(),
        orNothing(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8")),
        orNothing(() => readlinkSync("/proc/self/ns/pid")),
      ].join("\n"),
    )
    .digest("hex")
    .slice(0, 8);
  return place;
}

/** This process. */
export function thisProcess(): ProcessMark {
  return { place: placeOfProcesses(), pid: process.pid, started: startOf(process.pid) };
}

/**
 * Whether a process has ended, also one that its parent hasn't asked about yet (a zombie). One of another place can't
 * be asked, and counts as running.
 */
export function hasEnded({ place, pid, started }: ProcessMark): boolean {
  if (place !== placeOfProcesses()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
  const now = statusOf(pid);
  // Numbers are given out again.
  return /^[ZX]/.test(now.state) || (started !== "" && started !== now.started);
}

/** Empty where the system doesn't tell. */
function startOf(pid: number): string {
  return statusOf(pid).started;
}

/**
 * What Linux says of a process after its number and its name: first the state, 19 fields later the ticks from the
 * system's start to the process's (proc(5)).
 */
function statusOf(pid: number): { state: string; started: string } {
  const text = orNothing(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", started: fields[19] ?? "" };
}

function orNothing(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
