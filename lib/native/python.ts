import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { torchFoldersOf } from "./paths";

/** The folder of the active Python's `torch`, or why there is none. */
export type PythonTorch = { torch: string } | { torch?: undefined; problem: string };

interface CachedAnswer {
  torch: string | null;
  /** Modification times (ms) of the folders Python imports from: an install or a removal changes one of them. */
  folders: Record<string, number>;
}

// Finds the package without importing it, which would take seconds. Python runs isolated (-I), so that no file of the
// working directory, of PYTHONPATH or of the user's own site is imported; the last two are only looked through.
const QUESTION = `
import sys, json, os, site, importlib.machinery
folders = os.environ.get("PYTHONPATH", "").split(os.pathsep) + sys.path
if sys.prefix == sys.base_prefix: folders.append(site.getusersitepackages())
folders = [p for p in folders if os.path.isabs(p)]
spec = importlib.machinery.PathFinder.find_spec("torch", folders)
origin = spec.origin if spec else None
print(json.dumps({"torch": os.path.dirname(origin) if origin else None, "path": folders}))
`;

/** The first `python3` on PATH. */
function pythonOnPath(): string | undefined {
  return (process.env.PATH ?? "")
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, "python3"))
    .find((file) => existsSync(file));
}

function modified(file: string): number {
  try {
    return statSync(file).mtimeMs;
  } catch {
    return -1;
  }
}

/** One small file per Python and environment, in the user's own cache folder (nobody else may write there). */
function cacheFile(python: string): string {
  const base = process.env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache");
  // A version manager's shim answers by the working directory and its variables, so those are part of the question.
  const { PYTHONPATH, PYTHONHOME, PYENV_VERSION } = process.env;
  const key = JSON.stringify([
    python,
    modified(python),
    PYTHONPATH,
    PYTHONHOME,
    PYENV_VERSION,
    process.cwd(),
  ]);
  return path.join(
    base,
    "torchsearch",
    `python-${createHash("sha256").update(key).digest("hex").slice(0, 16)}.json`,
  );
}

function readCache(file: string): CachedAnswer | undefined {
  try {
    const answer = JSON.parse(readFileSync(file, "utf8")) as CachedAnswer;
    const fresh = Object.entries(answer.folders).every(([folder, time]) => modified(folder) === time);
    return fresh ? answer : undefined;
  } catch {
    return undefined;
  }
}

function writeCache(file: string, answer: CachedAnswer): void {
  const temporary = `${file}.${process.pid}`;
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(temporary, JSON.stringify(answer));
    renameSync(temporary, file);
  } catch {
    // The cache only saves starting Python the next time; a read-only home is no reason to fail.
  }
}

/**
 * Finds the `torch` of the active Python: the virtual or conda environment's, or else the one of the first `python3` on
 * PATH. Python is asked only when the environment's folders and the cached answer don't show it.
 */
export function findPythonTorch(): PythonTorch {
  // A relative one would be whatever the working directory holds.
  const environment = [process.env.VIRTUAL_ENV, process.env.CONDA_PREFIX].find(
    (folder) => folder && path.isAbsolute(folder),
  );
  const [torch] = environment ? torchFoldersOf(environment) : [];
  if (torch !== undefined) return { torch };
  const python = environment ? path.join(environment, "bin", "python3") : pythonOnPath();
  if (python === undefined) return { problem: "no python3 on PATH" };
  const file = cacheFile(python);
  const answer = readCache(file) ?? ask(python, file);
  if ("problem" in answer) return answer;
  return answer.torch === null ? { problem: `${python} has no torch` } : { torch: answer.torch };
}

function ask(python: string, cache: string): CachedAnswer | { problem: string } {
  const run = spawnSync(python, ["-I", "-c", QUESTION], { encoding: "utf8", timeout: 20_000 });
  try {
    const { torch, path: folders } = JSON.parse(run.stdout) as { torch: string | null; path: string[] };
    const answer = {
      torch,
      folders: Object.fromEntries(folders.map((folder) => [folder, modified(folder)])),
    };
    writeCache(cache, answer);
    return answer;
  } catch {
    const reason = run.error?.message ?? (run.stderr.trim().split("\n").pop() || `exit code ${run.status}`);
    return { problem: `${python} could not be asked for its torch: ${reason}` };
  }
}
