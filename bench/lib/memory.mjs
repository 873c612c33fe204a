import { readFileSync } from "node:fs";

/**
 * The most bytes that this process held in memory at once. Linux tells it exactly in VmHWM; elsewhere it is what the
 * operating system counts, which may include the parent's at the fork.
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
