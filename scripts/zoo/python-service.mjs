// A Python script that answers JSON lines. It stays alive because importing PyTorch takes longer than most requests.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { processMemory, watch } from "./limits.mjs";

/** The process is kept only below this memory: after a large model it rarely returns all of it. */
const KEEP_BYTES = 2 * 2 ** 30;

export class PythonService {
  #command;
  #process = null;

  /** @param {string[]} command the interpreter, the script and its arguments; its first line says that it is ready */
  constructor(command) {
    this.#command = command;
  }

  /** What the script printed when it was ready. */
  ready = null;

  /**
   * @param {object} request one JSON document
   * @param {{ seconds: number, bytes: number }} limits
   * @returns {Promise<object>} its answer, or `{ failure: { code, message } }` when the process ended instead
   */
  async ask(request, limits) {
    this.#process ??= this.#start();
    const running = this.#process;
    let breach;
    const unwatch = watch(running.child, limits, (error) => {
      breach = error;
    });
    try {
      if (!running.greeted) {
        this.ready = await running.next();
        running.greeted = true;
      }
      running.child.stdin.write(`${JSON.stringify(request)}\n`);
      const answer = await running.next();
      if ((processMemory(running.child.pid, "VmRSS") ?? 0) > KEEP_BYTES) await this.close();
      return answer;
    } catch (error) {
      this.#process = null;
      return { failure: breach ?? { code: "CRASH", message: error.message } };
    } finally {
      unwatch();
    }
  }

  /** Ends the process; the next request starts another. */
  async close() {
    const running = this.#process;
    this.#process = null;
    if (running === null) return;
    running.child.stdin.end();
    await running.ended;
  }

  #start() {
    const [program, ...args] = this.#command;
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    child.stdin.on("error", () => {}); // a process that died is noticed by its missing answer
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr = (stderr + chunk).slice(-2000);
    });
    const ended = new Promise((resolve) => {
      child.once("close", (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error(`Python ended (${await ended}): ${lastLine(stderr)}`);
      return JSON.parse(value);
    };
    return { child, ended, next, greeted: false };
  }
}

function lastLine(text) {
  return text.trim().split("\n").at(-1) ?? "";
}
