// Time and memory limits of child processes. Memory is the resident set, polled. Address space would be the wrong
// measure, because Node reserves far more than it uses.
import { readFileSync } from "node:fs";

const POLL_MS = 250;

/** Bytes from a line of /proc/PID/status such as VmRSS or VmHWM; undefined where there is none (another system, ended). */
export function processMemory(pid, field) {
  try {
    const match = new RegExp(`^${field}:\\s*(\\d+) kB`, "m").exec(
      readFileSync(`/proc/${pid}/status`, "utf8"),
    );
    return match === null ? undefined : Number(match[1]) * 1024;
  } catch {
    return undefined;
  }
}

/**
 * Kills `child` once it is over a limit, and calls `onBreach` with an error `{ code, message }` just before.
 *
 * @param {{ seconds: number, bytes: number }} limits
 * @returns {() => void} ends the watch
 */
export function watch(child, limits, onBreach) {
  const start = performance.now();
  const timer = setInterval(() => {
    const seconds = (performance.now() - start) / 1000;
    const resident = processMemory(child.pid, "VmRSS") ?? 0;
    let breach;
    if (seconds > limits.seconds) {
      breach = { code: "TIME_LIMIT", message: `took longer than ${limits.seconds} s` };
    } else if (resident > limits.bytes) {
      breach = {
        code: "MEMORY_LIMIT",
        message: `took more than ${(limits.bytes / 2 ** 30).toFixed(1)} GiB of memory`,
      };
    }
    if (breach === undefined) return;
    clearInterval(timer);
    onBreach(breach);
    child.kill("SIGKILL");
  }, POLL_MS);
  return () => clearInterval(timer);
}
