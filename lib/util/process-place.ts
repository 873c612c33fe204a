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

/** Whether a process has ended. One of another place can't be asked, and counts as running. */
export function hasEnded({ place, pid, started }: ProcessMark): boolean {
  if (place !== placeOfProcesses()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
  // Numbers are given out again.
  return started !== "" && started !== startOf(pid);
}

/** Linux counts the ticks from the system's start to the process's: the 22nd field, the 20th after the name. */
function startOf(pid: number): string {
  const text = orNothing(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

function orNothing(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
