/** Fetching a wheel by pip, where Python has one. */
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import path from "node:path";

import { TorchSearchError } from "../errors";
import { makeScratchFolder } from "../util/atomic-file";

/** The first `python3` (or `python`) on PATH that has pip; null without one. */
export function pythonWithPip(): string | null {
  const names = process.platform === "win32" ? ["python.exe"] : ["python3", "python"];
  for (const folder of (process.env.PATH ?? "").split(path.delimiter).filter(path.isAbsolute)) {
    for (const name of names) {
      const python = path.join(folder, name);
      const run = spawnSync(python, ["-I", "-m", "pip", "--version"], { timeout: 30_000, stdio: "ignore" });
      if (run.status === 0) return python;
    }
  }
  return null;
}

/**
 * Downloads torch's wheel, which pip checks against its index, into a new folder within `folder`. Installs nothing.
 *
 * @param indexes passed to pip; null leaves it to pip's own settings
 * @param keep called with the file; the folder is removed after it
 * @throws `ERR_DOWNLOAD` with what pip said
 */
export async function downloadByPip<T>(
  python: string,
  minor: string,
  indexes: readonly string[] | null,
  folder: string,
  { signal, say }: { signal: AbortSignal | null; say: (line: string) => void },
  keep: (wheel: string) => Promise<T>,
): Promise<T> {
  const place = await makeScratchFolder(path.join(folder, "pip"));
  try {
    const [first, ...more] = indexes ?? [];
    const from = [
      ...(first === undefined ? [] : ["--index-url", first]),
      ...more.flatMap((url) => ["--extra-index-url", url]),
    ];
    const options = ["--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest", place];
    const args = ["-I", "-m", "pip", "download", ...options, ...from, `torch==${minor}.*`];
    say(`Fetching PyTorch ${minor} by pip (${python}).`);
    const child = spawn(python, args, { stdio: ["ignore", 2, "pipe"], signal: signal ?? undefined });
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-4000);
    });
    const end = await new Promise<string | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, killed) => resolve(code === 0 ? null : (killed ?? `exit code ${code}`)));
    });
    if (end !== null) {
      const reason = said.trim().split("\n").at(-1) ?? "";
      throw new TorchSearchError(
        "ERR_DOWNLOAD",
        `pip could not fetch PyTorch ${minor} (${end}): ${reason}. Set the index (--index, or TORCHSEARCH_PYTHON_INDEX), or ` +
          "go without Python (--no-python).",
      );
    }
    const wheel = readdirSync(place).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) throw new TorchSearchError("ERR_DOWNLOAD", "pip fetched no wheel of torch.");
    return await keep(path.join(place, wheel));
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
