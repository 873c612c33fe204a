// Loads the addon in a process of its own and prints the result as JSON. `torchsearch doctor` runs it: a LibTorch that
// ends the process on loading must not end the doctor.
import { TorchSearchError } from "../errors";
import { computeThreads } from "./compute-threads";
import { loadNativeDetails } from "./load";
import type { NativeVersions } from "./types/library";

/** The result of the probe. */
export type ProbeReport =
  | {
      ok: true;
      versions: NativeVersions;
      threads: number;
      /** Why it is that many. */
      threadsReason: string;
      seconds: number;
      cudaProblem?: string;
    }
  | { ok: false; code: string; message: string };

function probe(): ProbeReport {
  const start = performance.now();
  try {
    const { addon, cudaProblem } = loadNativeDetails();
    const seconds = (performance.now() - start) / 1000;
    const threads = { threads: addon.getThreads(), threadsReason: computeThreads().reason };
    return { ok: true, versions: addon.versions(), ...threads, seconds, cudaProblem };
  } catch (error) {
    const code = error instanceof TorchSearchError ? error.code : "ERR_UNEXPECTED";
    return { ok: false, code, message: error instanceof Error ? error.message : String(error) };
  }
}

if (require.main === module) process.stdout.write(`${JSON.stringify(probe())}\n`);
