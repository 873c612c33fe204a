/** Runs plain JavaScript against the addon in a process or worker of its own. */
import { spawn } from "node:child_process";
import path from "node:path";
import { Worker } from "node:worker_threads";

import { loadNativeDetails } from "../../lib/native/load";
import { sharedLibrary } from "../../lib/native/paths";

/** What loads the addon in a process or worker: `require` it for `{ native, TorchSearchError }`. */
export const supportFile = path.join(__dirname, "addon.cjs");

function environment(): NodeJS.ProcessEnv {
  const { libTorch, file } = loadNativeDetails();
  const libraries = ["c10", "torch_cpu"].map((name) => path.join(libTorch.root, "lib", sharedLibrary(name)));
  const paths = { loader: file.loader, addon: file.file, libraries };
  return { ...process.env, TORCHSEARCH_TEST_ADDON: JSON.stringify(paths) };
}

const prelude = `const { native, TorchSearchError } = require(${JSON.stringify(supportFile)});\n`;

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs a script, in which `native` is the addon, in a new process, and waits for its end. */
export function runScript(script: string, flags: string[] = []): Promise<Ended> {
  return runPlainScript(prelude + script, flags);
}

/** As {@link runScript}, but the script loads the addon itself, or in a worker. */
export function runPlainScript(script: string, flags: string[] = []): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, "-e", script], { env: environment() });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Starts a script, in which `native` is the addon, in a worker of this process. */
export function startWorker(script: string): Worker {
  return new Worker(`const { parentPort } = require("node:worker_threads");\n${prelude}${script}`, {
    eval: true,
    env: environment(),
  });
}
