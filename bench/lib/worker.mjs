// A process that answers JSON lines. Each compared tool runs in one of its own, and measures its own time.
import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";

import { root } from "../../scripts/lib/run.mjs";
import { peerPython } from "./peers.mjs";

export class Worker {
  #child;
  #lines;
  #errors = "";
  #name;

  constructor(program, args, env = {}) {
    this.#name = path.basename(args.at(-1));
    this.#child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child.stdin.on("error", () => {}); // a process that died is noticed by its missing answer
    this.#child.stderr.on("data", (chunk) => {
      this.#errors = (this.#errors + chunk).slice(-4000);
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** torchsearch, in a Node process. */
  static ours(script) {
    return new Worker(process.execPath, [path.join("bench", script)]);
  }

  /** PyTorch and what is built on it, in a Python process: of the peers' environment, or of another. */
  static python(script, program = peerPython) {
    return new Worker(program, ["-W", "ignore", path.join("bench", "python", script)]);
  }

  /** Sends a request and returns its answer. Throws with the message of the worker's exception. */
  async ask(request) {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#name} ended: ${this.#errors.trim() || "without a word"}`);
    const answer = JSON.parse(value);
    if (answer.error !== undefined) throw new Error(`${this.#name}: ${answer.error}`);
    return answer;
  }

  /** Lets the process end by itself. */
  async close() {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.stdin.end();
    await ended;
  }
}
