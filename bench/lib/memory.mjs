import { readFileSync } from "node:fs";

/**
 * The peak of this process's resident memory in bytes. Linux reports it exactly in VmHWM; elsewhere it is the operating
 * system's count, which may include the parent's at the fork.
 */
export function peakMemory() {
  try {
    const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"));
    if (found !== null) return Number(found[1]) * 1024;
  } catch {
    // no /proc here
  }
  return process.resourceUsage().maxRSS * 1024;
}
