// Runs other programs and prints progress. Plain Node, because these scripts run before `npm ci`.
import { spawn, spawnSync } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..");

/** A failure with a remedy; printed without a stack. */
export class SetupError extends Error {}

/** Prints the present step. On standard error, so that the output of a demo or a test stays clean. */
export function say(text) {
  process.stderr.write(`[torchsearch] ${text}\n`);
}

/** Throws what `run` and `start` throw when a program failed. */
function checkEnd(command, args, { error, status, signal }, remedy) {
  if (!error && status === 0) return;
  const reason = error?.message ?? (signal ? `signal ${signal}` : `exit code ${status}`);
  throw new SetupError(`${path.basename(command)} ${args[0] ?? ""} failed (${reason}). ${remedy}`.trim());
}

/** Runs a program with its output shown; fails with `remedy` when it cannot be started or exits with an error. */
export function run(command, args, { remedy = "", env = {}, cwd = root } = {}) {
  const result = spawnSync(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", 2, 2] });
  checkEnd(command, args, result, remedy);
}

/**
 * As `run`, without blocking. With `onLine`, the program's standard output is not shown: each of its lines goes to
 * that function.
 */
export async function start(command, args, { remedy = "", env = {}, cwd = root, onLine } = {}) {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", onLine === undefined ? 2 : "pipe", 2],
  });
  const ended = new Promise((resolve) => {
    child.on("error", (error) => resolve({ error }));
    child.on("close", (status, signal) => resolve({ status, signal }));
  });
  if (onLine !== undefined) for await (const line of createInterface({ input: child.stdout })) onLine(line);
  checkEnd(command, args, await ended, remedy);
}

/** Runs tasks at the same time and waits for all of them; then fails with the first failure, if there was one. */
export async function together(...tasks) {
  const results = await Promise.allSettled(tasks.map((task) => task()));
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  return results.map((result) => result.value);
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
