/** Groups of processes on this machine. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";

import { root } from "./zoo";

/** A port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** The variables of one rank. */
export function rankVariables(rank: number, worldSize: number, port: number): Record<string, string> {
  return {
    RANK: String(rank),
    WORLD_SIZE: String(worldSize),
    MASTER_ADDR: "127.0.0.1",
    MASTER_PORT: String(port),
    OMP_NUM_THREADS: "1",
  };
}

/** One process of a group. */
export interface RankProcess {
  child: ChildProcess;
  /** What it has printed so far. */
  output(): string;
  errors(): string;
  /** Its end. */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string; errors: string }>;
}

/** Starts one process of Node. */
export function startRank(
  command: readonly string[],
  variables: Readonly<Record<string, string>>,
): RankProcess {
  return startProgram(process.execPath, command, variables);
}

/** Starts any program. */
export function startProgram(
  program: string,
  command: readonly string[],
  variables: Readonly<Record<string, string>>,
): RankProcess {
  const child = spawn(program, command, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_PATH: path.join(root, "node_modules"), ...variables },
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const ended = new Promise<{
    code: number | null;
    signal: NodeJS.Signals | null;
    output: string;
    errors: string;
  }>((resolve) => child.on("close", (code, signal) => resolve({ code, signal, output, errors })));
  return { child, output: () => output, errors: () => errors, ended };
}

/** Starts all ranks of a group. */
export function startRanks(command: readonly string[], worldSize: number, port: number): RankProcess[] {
  return Array.from({ length: worldSize }, (_, rank) =>
    startRank(command, rankVariables(rank, worldSize, port)),
  );
}

/** The processes that a process has started, by their ranks. */
export function ranksOf(starter: number): Map<number, number> {
  const found = new Map<number, number>();
  for (const id of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = / (\d+)/.exec(readFileSync(`/proc/${id}/stat`, "utf8").split(") ")[1] ?? "")?.[1];
      const rank = /(?:^|\0)RANK=(\d+)/.exec(readFileSync(`/proc/${id}/environ`, "utf8"))?.[1];
      if (Number(parent) === starter && rank !== undefined) found.set(Number(rank), Number(id));
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}
