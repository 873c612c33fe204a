import { spawnSync } from "node:child_process";
import os from "node:os";
import path from "node:path";

import type { Command } from "commander";

import { TorchSearchError } from "../errors";
import { type AddonFile, listAddonFiles } from "../native/addon-files";
import { chooseAddon } from "../native/load";
import { type LibTorchCandidate, listLibTorchCandidates, locateLibTorch } from "../native/locate";
import { BUILD_COMMAND } from "../native/paths";
import type { ProbeReport } from "../native/probe";
import { declare } from "./options/declare";
import { print, printJson } from "./output";

/** Something that keeps torchsearch from working, and how to fix it. */
export interface Problem {
  code: string;
  message: string;
}

/** What `torchsearch doctor --json` prints. */
export interface DoctorReport {
  node: string;
  platform: string;
  cpu: { model: string; threads: number };
  /** Every place where LibTorch is looked for, in order. */
  libTorch: (LibTorchCandidate & { used: boolean })[];
  /** Every build of the addon, and the one that is used. */
  addons: (AddonFile & { used: boolean })[];
  /** Whether the addon loads, tried in a separate process. Absent when there is nothing to load. */
  load?: ProbeReport;
  /** Version of the optional package that decodes images; null where it can't be loaded. */
  sharp: string | null;
  problems: Problem[];
  /** Things that work, but perhaps not as meant. */
  notes: string[];
}

function attempt<T>(run: () => T, problems: Problem[]): T | undefined {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof TorchSearchError)) throw error;
    problems.push({ code: error.code, message: error.message });
    return undefined;
  }
}

function runProbe(): ProbeReport {
  const script = path.join(__dirname, "..", "native", "probe.js");
  const run = spawnSync(process.execPath, [script], { encoding: "utf8", timeout: 120_000 });
  try {
    return JSON.parse(run.stdout) as ProbeReport;
  } catch {
    const end = run.signal ? `signal ${run.signal}` : `exit code ${run.status}`;
    const message =
      `Loading the addon ended the process (${end}): ${run.stderr.trim() || "nothing printed"}. ` +
      `Build again for this LibTorch with \`${BUILD_COMMAND}\`.`;
    return { ok: false, code: "ERR_ADDON_LOAD", message };
  }
}

/** The image decoder's version; null where it is not installed or has no build for this platform. */
function sharpVersion(): string | null {
  try {
    return (require("sharp") as { versions: { sharp: string } }).versions.sharp;
  } catch {
    return null;
  }
}

/** Examines everything that torchsearch needs to run. Problems are reported, not thrown. */
export function examine(): DoctorReport {
  const problems: Problem[] = [];
  const notes: string[] = [];
  const used = attempt(locateLibTorch, problems);
  const files = attempt(listAddonFiles, problems) ?? [];
  const addon = used && problems.length === 0 ? attempt(() => chooseAddon(used, files), problems) : undefined;
  const report: DoctorReport = {
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    cpu: { model: os.cpus()[0]?.model.trim() ?? "unknown", threads: os.availableParallelism() },
    libTorch: listLibTorchCandidates().map((candidate) => ({
      ...candidate,
      used: "found" in candidate && used !== undefined && candidate.source === used.source,
    })),
    addons: files.map((file) => ({ ...file, used: file.file === addon?.file })),
    sharp: sharpVersion(),
    problems,
    notes,
  };
  if (report.sharp === null)
    notes.push(
      "The optional package sharp is missing, so folders of images can't be read; `npm install sharp` adds it.",
    );
  if (used === undefined && files.length > 0) {
    const versions = [...new Set(files.map(({ torch }) => torch))].join(" or ");
    notes.push(
      `The addon here is built for LibTorch ${versions}: any other version needs a build of its own (\`${BUILD_COMMAND}\`).`,
    );
  }
  if (process.platform !== "linux") {
    notes.push(`torchsearch is built and tested on Linux; ${process.platform} is untried.`);
  }
  if (addon === undefined) return report;
  report.load = runProbe();
  if (!report.load.ok) {
    problems.push({ code: report.load.code, message: report.load.message });
  } else if (report.load.cudaProblem !== undefined) {
    notes.push(
      `This LibTorch has CUDA libraries that cannot be opened, so only the CPU is used: ${report.load.cudaProblem}. ` +
        "Reinstall PyTorch together with its nvidia packages to use the GPU.",
    );
  } else if (used?.cuda && !report.load.versions.cuda) {
    notes.push("This LibTorch can use CUDA, but no GPU answers: check the driver with `nvidia-smi`.");
  }
  const spinning = report.load.ok && spinningNote(report.load.threads, os.loadavg()[0] ?? 0, process.env);
  if (spinning) notes.push(spinning);
  return report;
}

/**
 * A note where the user's own setting makes OpenMP's threads spin while other processes keep the cores busy: fewer
 * threads are faster then. With the addon's own setting they weren't, at any load that was tried (docs/benchmarks.md).
 */
export function spinningNote(threads: number, load: number, env: NodeJS.ProcessEnv): string | undefined {
  const spins = env.OMP_WAIT_POLICY?.toLowerCase() === "active" || Number(env.GOMP_SPINCOUNT ?? 0) > 10_000;
  if (!spins || threads === 1 || load + threads < os.cpus().length + 0.5) return undefined;
  const setting = env.GOMP_SPINCOUNT === undefined ? "OMP_WAIT_POLICY" : "GOMP_SPINCOUNT";
  return (
    `${setting} makes OpenMP's threads spin, and the load average is ${load.toFixed(1)} on ${os.cpus().length} cores: ` +
    `unset it, or set OMP_NUM_THREADS=1, which is faster beside busy processes.`
  );
}

function describe(report: DoctorReport): string {
  const lines = [
    `Node      ${report.node} on ${report.platform}`,
    `CPU       ${report.cpu.model}, ${report.cpu.threads} ${report.cpu.threads === 1 ? "core" : "cores"} for this process`,
    "LibTorch  (in the order in which the places are tried)",
    ...report.libTorch.map((candidate) => {
      const text =
        "found" in candidate ? `${candidate.found.version}  ${candidate.found.root}` : candidate.problem;
      return `  ${candidate.used ? "*" : " "} ${candidate.source.padEnd(20)}  ${text}`;
    }),
    "Addon",
    ...report.addons.map(
      (file) =>
        `  ${file.used ? "*" : " "} ${file.kind.padEnd(20)}  for LibTorch ${file.torch}  ${file.file}`,
    ),
    ...(report.addons.length === 0 ? ["    none"] : []),
  ];
  if (report.load?.ok) {
    const { versions, threads, threadsReason, seconds } = report.load;
    const cuda = versions.cuda ? "CUDA available" : "no CUDA";
    lines.push(
      `Loads     in ${seconds.toFixed(2)} s: LibTorch ${versions.torch}, ${cuda}`,
      `Threads   ${threads}: ${threadsReason}`,
    );
  }
  if (report.sharp !== null) lines.push(`Images    decoded by sharp ${report.sharp}`);
  lines.push(...report.notes.map((note) => `Note      ${note}`));
  lines.push(...report.problems.map((problem) => `Problem   ${problem.code}: ${problem.message}`));
  lines.push(report.problems.length === 0 ? "All is well." : "Something is broken; see above how to fix it.");
  return `${lines.join("\n")}\n`;
}

/** Adds `torchsearch doctor`. */
export function addDoctorCommand(program: Command): void {
  declare(program, "doctor", (_, { json = false }) => {
    const report = examine();
    if (json) printJson(report);
    else print(describe(report));
    if (report.problems.length > 0) process.exitCode = 1;
  });
}
