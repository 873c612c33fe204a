/** `torchsearch launch`: several processes of this machine that search or train together, without Python. */
import { type ChildProcess, spawn } from "node:child_process";
import os from "node:os";

import type { Command } from "commander";

import { availableCores } from "../native/compute-threads";
import { joinStore } from "../native/group-store";
import { SIGNALS } from "./interrupt";
import { declare, type GivenOf } from "./options/declare";
import { badOption } from "./options/kinds";
import { say } from "./output";

/** The commands that can be shared. */
const SHARED = ["search", "resume", "finetune"];
/** How long the other processes may take to end after one of them has. */
const GRACE_MS = 10_000;
/** The address of all: they are on one machine. */
const ADDRESS = "127.0.0.1";
/** Milliseconds in which the store has to answer. */
const STORE_MS = 300_000;
const DEFAULT_RESTARTS = 3;

/** How the processes of one start ended. */
interface RoundEnd {
  /** What the command ends with. */
  code: number;
  /** The first process that something else has ended; null where there is none. */
  killed: { rank: number; signal: NodeJS.Signals } | null;
}

async function run(given: GivenOf<"launch">): Promise<void> {
  const at = process.argv.indexOf("--");
  const [command, ...rest] = at < 0 ? [] : process.argv.slice(at + 1);
  if (command === undefined || !SHARED.includes(command))
    throw badOption(
      "launch runs search and resume, and trains with finetune, after --: torchsearch launch --nproc 2 -- search MODEL …",
    );
  const most = given.maxRestarts ?? DEFAULT_RESTARTS;
  // The store is here, so that what was measured outlives every process.
  const place = { host: ADDRESS, port: 0, serve: true, listenOn: ADDRESS, timeout: STORE_MS };
  const { store, port } = await joinStore(place, null);
  const args = [command, ...rest, ...(rest.includes("--distributed") ? [] : ["--distributed"])];
  let stopped = false;
  const stop = (): void => {
    stopped = true;
  };
  for (const signal of SIGNALS) process.on(signal, stop);
  try {
    for (let restarts = 0; ; restarts += 1) {
      const { code, killed } = await endOf(startAll(args, { nproc: given.nproc, port, restarts }));
      process.exitCode = code;
      if (killed === null || stopped || restarts >= most) break;
      say(
        `Rank ${killed.rank} was ended by ${killed.signal}; all processes start again (${restarts + 1} of ${most} times) and ` +
          "go on from what was measured.",
      );
    }
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
    await store.close();
  }
}

/** Starts the processes of a group. */
function startAll(
  args: readonly string[],
  { nproc, port, restarts }: { nproc: number | null | undefined; port: number; restarts: number },
): ChildProcess[] {
  const cores = availableCores();
  const worldSize = nproc ?? cores;
  const variables = {
    WORLD_SIZE: String(worldSize),
    MASTER_ADDR: ADDRESS,
    MASTER_PORT: String(port),
    OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? String(Math.max(1, Math.floor(cores / worldSize))),
    // As torchrun's agent says it.
    TORCHELASTIC_USE_AGENT_STORE: "True",
    TORCHELASTIC_RESTART_COUNT: String(restarts),
  };
  return Array.from({ length: worldSize }, (_, rank) => {
    const output = rank === 0 ? "inherit" : "ignore";
    return spawn(process.execPath, [...process.execArgv, process.argv[1] as string, ...args], {
      // The channel ends with this process, however it ends, and the child with the channel.
      stdio: [rank === 0 ? "inherit" : "ignore", output, "inherit", "ipc"],
      env: { ...process.env, ...variables, RANK: String(rank), LOCAL_RANK: String(rank) },
      // A terminal's Ctrl-C would reach them beside the signal that is handed on.
      detached: true,
    });
  });
}

/** Waits for all processes; the first that fails ends the others, and its code is the command's. */
async function endOf(children: readonly ChildProcess[]): Promise<RoundEnd> {
  let failed: number | null = null;
  let killed: RoundEnd["killed"] = null;
  const tell = (signal: NodeJS.Signals): void => {
    for (const child of children)
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  };
  let timer: NodeJS.Timeout | undefined;
  for (const signal of SIGNALS) process.on(signal, tell);
  await Promise.all(
    children.map(
      (child, rank) =>
        new Promise<void>((resolve) => {
          child.on("error", () => resolve());
          child.on("exit", (code, signal) => {
            if (code !== 0 && failed === null) {
              failed = code ?? 128 + (signal === null ? 0 : os.constants.signals[signal]);
              if (signal !== null) {
                // All start again: the others' results are in the store, and rank 0's checkpoint is whole at any moment.
                killed = { rank, signal };
                tell("SIGKILL");
              } else {
                // Those that wait for it find out by themselves, and say so; others are told.
                timer = setTimeout(() => {
                  tell("SIGTERM");
                  timer = setTimeout(() => tell("SIGKILL"), GRACE_MS);
                }, GRACE_MS);
              }
            }
            resolve();
          });
        }),
    ),
  );
  clearTimeout(timer);
  for (const signal of SIGNALS) process.off(signal, tell);
  return { code: failed ?? 0, killed };
}

/** Adds `torchsearch launch`. */
export function addLaunchCommand(program: Command): void {
  declare(program, "launch", (_, given) => run(given));
}
