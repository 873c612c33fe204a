/** What the command prints on a terminal (a pseudo-terminal, by Python's pty) and in places that are none, or not quite. */
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { canDrawLive } from "../../lib/util/terminal";
import { python } from "../support/zoo";
import { command, fixture } from "./command";

/** Runs a command on a terminal of 110 columns; Ctrl-C is typed as soon as a text was seen. Prints what came, and the exit code. */
const ON_A_TERMINAL = `
import fcntl, os, pty, struct, sys, termios
stop, args = sys.argv[1].encode(), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(args[0], args)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
seen, typed = b"", False
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    seen += data
    if stop and not typed and stop in seen:
        os.write(terminal, b"\\x03")
        typed = True
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(seen + b"\\nexit code " + str(status).encode())
`;

const SEARCH = [
  "search",
  fixture("digits_resnet.pt"),
  ...["--data", fixture("digits.npz"), "--input-array", "train_images", "--target-array", "train_labels"],
  ...["--max-batches", "1", "--constraint", "flops=60%", "--searcher", "random"],
];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-terminal-"));
  writeFileSync(path.join(folder, "terminal.py"), ON_A_TERMINAL);
});
afterAll(() => rmSync(folder, { recursive: true }));

const DECISIVE = ["CI", "NO_COLOR", "FORCE_COLOR"];
const clean = (more: Record<string, string>) => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !DECISIVE.includes(name))),
  OMP_NUM_THREADS: "1",
  TERM: "xterm-256color",
  ...more,
});

async function onTerminal(more: Record<string, string>, args: string[], stop = ""): Promise<string> {
  const all = [path.join(folder, "terminal.py"), stop, process.execPath, command, ...args];
  const { stdout } = await promisify(execFile)(python, all, { cwd: folder, env: clean(more) });
  return stdout;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the very thing that is looked for
const ESCAPES = /\x1b/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the very thing that is looked for
const COLORS = /\x1b\[[\d;]*m/;

describe("on a terminal", { timeout: 120_000 }, () => {
  it.each<[string, Record<string, string>, boolean]>([
    ["of any kind", {}, true],
    ["with NO_COLOR=1", { NO_COLOR: "1" }, true],
    ["with FORCE_COLOR=0", { FORCE_COLOR: "0" }, true],
    ["that is dumb", { TERM: "dumb" }, false],
    ["of a build server", { CI: "true" }, false],
  ])("%s: no colours; a live line where one can be drawn", async (name, more, live) => {
    const output = path.join(folder, `${name}.pt`);
    const seen = await onTerminal(more, [...SEARCH, "--iterations", "10", "--output", output]);
    expect(seen).toContain("exit code 0");
    expect(seen).toMatch(/flops <= 60\.0 %/);
    expect(seen).not.toMatch(COLORS);
    expect(/[█░]/.test(seen)).toBe(live);
    expect(ESCAPES.test(seen)).toBe(live);
    // What hides the cursor must show it again.
    expect(seen.lastIndexOf("\x1b[?25l")).toBeLessThanOrEqual(seen.lastIndexOf("\x1b[?25h"));
  });

  it("Ctrl-C leaves a clean line, says how to go on, and that works", async () => {
    const args = [...SEARCH, "--iterations", "100000", "--output", "stopped.pt"];
    const seen = await onTerminal({}, args, "candidates");
    expect(seen).toContain("exit code 130");
    expect(seen.lastIndexOf("\x1b[?25l")).toBeLessThan(seen.lastIndexOf("\x1b[?25h"));
    const told = seen.slice(seen.indexOf("stopped by SIGINT"));
    expect(told).not.toMatch(ESCAPES);
    const again = /main\.js (resume \S+|search .*)/.exec(told)?.[1];
    expect(again, told).toMatch(/^resume stopped\.search\.safetensors/);
    const resumed = await onTerminal({}, (again as string).split(" "), "candidates");
    expect(resumed).toContain("exit code 130");
  });
});

describe("elsewhere", { timeout: 60_000 }, () => {
  it("nothing is drawn, whatever FORCE_COLOR says", async () => {
    const args = [command, ...SEARCH, "--iterations", "10", "--output", "piped.pt"];
    const child = spawn(process.execPath, args, { cwd: folder, env: clean({ FORCE_COLOR: "1" }) });
    let printed = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        printed += chunk.toString();
      });
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(0);
    expect(printed).not.toMatch(ESCAPES);
    expect(printed).not.toMatch(/[█░]/);
  });

  it("the rule is one: a terminal, not dumb, not a build server's", () => {
    const draws = (isTTY: boolean | undefined, env: NodeJS.ProcessEnv) => canDrawLive({ isTTY }, env);
    expect(draws(true, {})).toBe(true);
    expect(draws(true, { CI: "false" })).toBe(true);
    expect(draws(undefined, {})).toBe(false);
    expect(draws(false, { FORCE_COLOR: "3" })).toBe(false);
    expect(draws(true, { TERM: "dumb" })).toBe(false);
    expect(draws(true, { CI: "1" })).toBe(false);
  });
});
