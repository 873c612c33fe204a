// Runs other programs and prints progress. Plain Node, because these scripts run before `npm ci`.
import { spawnSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..");

/** A failure with a remedy; printed without a stack. */
export class SetupError extends Error {}

/** Prints the present step. On standard error, so that the output of a demo or a test stays clean. */
export function say(text) {
  process.stderr.write(`[torchsearch] ${text}\n`);
}

/** Runs a program with its output shown; fails with `remedy` when it cannot be started or exits with an error. */
export function run(command, args, { remedy = "", env = {}, cwd = root } = {}) {
  const result = spawnSync(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", 2, 2] });
  if (result.error || result.status !== 0) {
    const reason =
      result.error?.message ?? (result.signal ? `signal ${result.signal}` : `exit code ${result.status}`);
    throw new SetupError(`${path.basename(command)} ${args[0] ?? ""} failed (${reason}). ${remedy}`.trim());
  }
}

/** Runs a program and returns its output, or undefined when it failed. */
export function capture(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", ...options });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/** Runs a script's main function; a SetupError ends it with its message alone. */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    process.stderr.write(`[torchsearch] ${error instanceof SetupError ? error.message : error.stack}\n`);
    process.exitCode = 1;
  }
}
