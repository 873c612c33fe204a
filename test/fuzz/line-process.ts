/** A process that answers each line with a line, and is started again when it ended or hangs. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

export type Reply =
  | { line: string }
  /** The process ended: the signal or exit code, and the end of what it wrote to standard error. */
  | { ended: string; stderr: string }
  /** No answer within the limit. */
  | { hangs: true };

export interface LineProcessOptions {
  command: string;
  args: readonly string[];
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** An answer that comes later than this counts as none. */
  limitMs: number;
}

export class LineProcess {
  #options: LineProcessOptions;
  #child: ChildProcess | null = null;
  #stderr = "";
  #waiting: ((reply: Reply) => void) | null = null;

  constructor(options: LineProcessOptions) {
    this.#options = options;
  }

  /** Sends a line; the answer, or why there is none. */
  ask(line: string): Promise<Reply> {
    this.#child ??= this.#start();
    const child = this.#child;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting = null;
        void this.stop();
        resolve({ hangs: true });
      }, this.#options.limitMs);
      this.#waiting = (reply) => {
        clearTimeout(timer);
        this.#waiting = null;
        resolve(reply);
      };
      child.stdin?.write(`${line}\n`);
    });
  }

  /** Ends the process; the next line starts another. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  /** Lets the process end by itself: no more lines come. How it ended. */
  async finish(): Promise<{ code: number | null; signal: string | null; stderr: string } | null> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return null;
    return new Promise((resolve) => {
      child.once("close", (code, signal) => resolve({ code, signal, stderr: this.#stderr }));
      child.stdin?.end();
    });
  }

  #start(): ChildProcess {
    const { command, args, cwd, env } = this.#options;
    const child = spawn(command, args, { cwd, env, stdio: ["pipe", "pipe", "pipe"] });
    this.#stderr = "";
    child.stdin.on("error", () => {}); // the process may have ended
    child.stderr.on("data", (data: Buffer) => {
      this.#stderr = (this.#stderr + data.toString()).slice(-4000);
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      // Whatever else prints, such as LibTorch, doesn't print an object of JSON.
      if (line.startsWith("{")) this.#waiting?.({ line });
    });
    child.on("close", (code, signal) => {
      if (child !== this.#child) return;
      this.#child = null;
      this.#waiting?.({ ended: signal ?? `exit code ${code}`, stderr: this.#stderr });
    });
    return child;
  }
}
