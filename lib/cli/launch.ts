/** `torchsearch launch`: a search in several processes of this machine, without Python. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";

import type { Command } from "commander";

import { TorchSearchError } from "../errors";
import { availableCores } from "../native/compute-threads";
import { declare, type GivenOf } from "./options/declare";
import { badOption } from "./options/kinds";

/** The commands that can be shared. */
const SHARED = ["search", "resume"];
/** How long the other processes may take to end after one of them has. */
const GRACE_MS = 10_000;
/** How long a process whose launcher has ended may take to end by itself. */
const LAST_MS = 3_000;
/** The address of all: they are on one machine. */
const ADDRESS = "127.0.0.1";

async function run(given: GivenOf<"launch">): Promise<void> {
  const at = process.argv.indexOf("--");
  const [command, ...rest] = at < 0 ? [] : process.argv.slice(at + 1);
  if (command === undefined || !SHARED.includes(command))
    throw badOption(
      `launch runs ${SHARED.join(" and ")}, after --: torchsearch launch --nproc 2 -- search MODEL …`,
    );
  const cores = availableCores();
  const nproc = given.nproc ?? cores;
  const variables = {
    WORLD_SIZE: String(nproc),
    MASTER_ADDR: ADDRESS,
    MASTER_PORT: String(await freePort()),
    OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? String(Math.max(1, Math.floor(cores / nproc))),
  };
  const script = process.argv[1] as string;
  const args = [script, command, ...rest, ...(rest.includes("--distributed") ? [] : ["--distributed"])];
  const children = Array.from({ length: nproc }, (_, rank) => {
    const output = rank === 0 ? "inherit" : "ignore";
    return spawn(process.execPath, [...process.execArgv, ...args], {
      // The channel ends with this process, however it ends, and the child with the channel.
      stdio: [rank === 0 ? "inherit" : "ignore", output, "inherit", "ipc"],
      env: { ...process.env, ...variables, RANK: String(rank), LOCAL_RANK: String(rank) },
      // A terminal's Ctrl-C would reach them beside the signal that is handed on.
      detached: true,
    });
  });
  process.exitCode = await endOf(children);
}

/** Waits for all processes; the first that fails ends the others, and its code is the command's. */
async function endOf(children: readonly ChildProcess[]): Promise<number> {
  let failed: number | null = null;
  const tell = (signal: NodeJS.Signals): void => {
    for (const child of children)
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  };
  let timer: NodeJS.Timeout | undefined;
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) process.on(signal, tell);
  await Promise.all(
    children.map(
      (child) =>
        new Promise<void>((resolve) => {
          child.on("error", () => resolve());
          child.on("exit", (code, signal) => {
            if (code !== 0 && failed === null) {
              failed = code ?? (signal === null ? 1 : 128);
              // Those that wait for it find out by themselves, and say so; others are told.
              timer = setTimeout(() => {
                tell("SIGTERM");
                timer = setTimeout(() => tell("SIGKILL"), GRACE_MS);
              }, GRACE_MS);
            }
            resolve();
          });
        }),
    ),
  );
  clearTimeout(timer);
  for (const signal of signals) process.off(signal, tell);
  return failed ?? 0;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", (error) =>
      reject(
        new TorchSearchError(
          "ERR_GROUP_CONNECT",
          `No port of ${ADDRESS} can be had (${error.message}): the processes need one to share their scores.`,
          { cause: error },
        ),
      ),
    );
    server.listen(0, ADDRESS, () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Ends this process when the one that launched it has ended. */
export function endWithLauncher(): void {
  if (process.channel === undefined || process.channel === null) return;
  process.channel.unref();
  process.on("disconnect", () => {
    setTimeout(() => process.exit(1), LAST_MS).unref();
    process.kill(process.pid, "SIGTERM");
  });
}

/** Adds `torchsearch launch`. */
export function addLaunchCommand(program: Command): void {
  declare(program, "launch", (_, given) => run(given));
}
