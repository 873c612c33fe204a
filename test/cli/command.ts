/** Runs the compiled command, as a user does. */
import { spawn } from "node:child_process";
import path from "node:path";

import { root } from "../support/zoo";

export const command = path.join(root, "dist", "cli", "main.js");
export const fixture = (name: string) => path.join(root, "test", "fixtures", name);

/** How a run ended. */
export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs it in a folder and waits for its end. */
export async function torchsearch(cwd: string, ...args: string[]): Promise<Ended> {
  return started(cwd, args).ended;
}

function started(cwd: string, args: string[]) {
  const child = spawn(process.execPath, [command, ...args], { cwd });
  const written = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].on("data", (chunk: Buffer) => {
      written[name] += chunk.toString();
    });
  }
  const ended = new Promise<Ended>((resolve) =>
    child.on("close", (status) => resolve({ status, ...written })),
  );
  return { child, written, ended };
}

/** Runs it with its standard output going elsewhere in a shell, such as `| true`; gives the exit code and standard error. */
export async function torchsearchInto(
  cwd: string,
  where: string,
  ...args: string[]
): Promise<{ status: number; stderr: string }> {
  const script = `"$0" "$@" ${where}; exit "\${PIPESTATUS[0]}"`;
  const child = spawn("bash", ["-c", script, process.execPath, command, ...args], {
    cwd,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status: status ?? -1, stderr })));
}

/** Runs it, and sends SIGINT as soon as `when` holds; also tells how long it took to end from then on. */
export async function interrupted(
  cwd: string,
  args: string[],
  when: (stderr: string) => boolean,
): Promise<Ended & { seconds: number }> {
  const { child, written, ended } = started(cwd, args);
  while (child.exitCode === null && !when(written.stderr))
    await new Promise((resolve) => setTimeout(resolve, 20));
  const start = performance.now();
  child.kill("SIGINT");
  return { ...(await ended), seconds: (performance.now() - start) / 1000 };
}
