/** Files are read one after the other by a child; what no file may do becomes a fault. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

import { bundle } from "../support/killable";
import { root } from "../support/zoo";
import type { Answer, Request } from "./child";
import type { Sample } from "./kinds";
import { LineProcess } from "./line-process";

/** Kilobytes of address space, of which Node reserves most. */
const MEMORY_LIMIT = 24_000_000;
/** No answer within this counts as a hang. Models give up much earlier (READERS). */
const LIMIT_MS = 120_000;
/** Files that a process reads before another takes its place. */
const FILES_PER_PROCESS = 250;

export interface Outcome {
  /** By step: "ok" or a code; null when the process ended or hung. */
  steps: Record<string, string> | null;
  /** In words; none for a file that was read or refused as it should be. */
  faults: string[];
}

export class Session {
  /** The folder of the sound files that mutations begin with. */
  readonly bases: string;
  #folder: string;
  #inbox: string;
  #process: LineProcess;
  #files = 0;

  private constructor(folder: string) {
    this.#folder = folder;
    this.bases = path.join(folder, "bases");
    this.#inbox = path.join(folder, "deep", "deeper", "inbox");
    for (const made of [this.bases, this.#inbox, path.join(folder, "deep", "deeper", "cwd")])
      mkdirSync(made, { recursive: true });
    this.#process = new LineProcess({
      command: "sh",
      args: [
        "-c",
        `ulimit -v ${MEMORY_LIMIT}; exec "$0" "$1"`,
        process.execPath,
        path.join(folder, "child.cjs"),
      ],
      cwd: path.join(folder, "deep", "deeper", "cwd"),
      env: { ...process.env, OMP_NUM_THREADS: "1" },
      limitMs: LIMIT_MS,
    });
  }

  /** Makes the child and the sound files. */
  static async open(): Promise<Session> {
    // Within the checkout, so that the child finds the packages that it imports.
    const builds = path.join(root, ".build");
    mkdirSync(builds, { recursive: true });
    const folder = mkdtempSync(path.join(builds, "fuzz-"));
    await bundle(`import "./child";`, {
      resolveDir: path.join(root, "test", "fuzz"),
      outfile: path.join(folder, "child.cjs"),
      external: ["bindings", "highs", "sharp"],
    });
    const session = new Session(folder);
    const { faults, steps } = await session.#ask({ kind: null, file: session.bases, shapes: "" });
    if (steps?.make !== "ok") {
      await session.close();
      throw new Error(`the sound files can't be made: ${faults.join("\n")} ${JSON.stringify(steps)}`);
    }
    return session;
  }

  /** Reads one file as `kind`. */
  async read(kind: string, { name, bytes, shapes = "" }: Sample): Promise<Outcome> {
    if (this.#files++ % FILES_PER_PROCESS === FILES_PER_PROCESS - 1) await this.#process.stop();
    rmSync(this.#inbox, { recursive: true });
    mkdirSync(this.#inbox);
    const file = path.join(this.#inbox, name);
    writeFileSync(file, bytes);
    const outcome = await this.#ask({ kind, file, shapes });
    outcome.faults.push(...this.#strays(name));
    return outcome;
  }

  async close(): Promise<void> {
    await this.#process.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ask(request: Request): Promise<Outcome> {
    const reply = await this.#process.ask(JSON.stringify(request));
    if ("hangs" in reply) return { steps: null, faults: [`no answer within ${LIMIT_MS / 1000} s`] };
    if ("ended" in reply)
      return { steps: null, faults: [`the process ended: ${reply.ended}\n${reply.stderr.slice(-1500)}`] };
    const { steps, faults, busy } = JSON.parse(reply.line) as Answer;
    if (busy) await this.#process.stop();
    return { steps, faults };
  }

  /** Files that reading has left where none belongs; they are removed. */
  #strays(name: string): string[] {
    const expected: Readonly<Record<string, readonly string[]>> = {
      "": ["bases", "child.cjs", "deep"],
      deep: ["deeper"],
      "deep/deeper": ["cwd", "inbox"],
      "deep/deeper/cwd": [],
      // A report is written beside its checkpoint, which the search goes on to write, keeping one generation.
      "deep/deeper/inbox": [name, `${name}.html`, `${name}.previous`],
    };
    return Object.entries(expected).flatMap(([folder, names]) => {
      const here = path.join(this.#folder, folder);
      const strays = existsSync(here)
        ? readdirSync(here).filter((entry) => !names.includes(entry))
        : ["(gone)"];
      for (const stray of strays) rmSync(path.join(here, stray), { recursive: true, force: true });
      return strays.map((stray) => `it left the file ${path.posix.join(folder, stray)}`);
    });
  }
}
