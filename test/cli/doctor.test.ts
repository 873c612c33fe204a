import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { DoctorReport } from "../../lib/cli/doctor";
import { packageRoot, sharedLibrary } from "../../lib/native/paths";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-doctor-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Runs the compiled command, as a user does. */
function doctor(args: string[], env: NodeJS.ProcessEnv = {}) {
  const command = path.join(packageRoot, "dist", "cli", "main.js");
  return spawnSync(process.execPath, [command, "doctor", ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
}

function fakeTorch(version: string): string {
  mkdirSync(path.join(folder, "lib"));
  for (const name of ["c10", "torch_cpu"])
    writeFileSync(path.join(folder, "lib", sharedLibrary(name)), "not a library");
  writeFileSync(path.join(folder, "version.py"), `__version__ = '${version}'\n`);
  return folder;
}

describe("torchsearch doctor", () => {
  it("loads the addon with the LibTorch it is built for and finds nothing broken", () => {
    const { status, stdout, stderr } = doctor(["--json"]);
    expect(stderr).toBe("");
    const report = JSON.parse(stdout) as DoctorReport;
    expect(report.problems).toEqual([]);
    expect(status).toBe(0);
    const used = report.libTorch.find((candidate) => candidate.used);
    const addon = report.addons.find((file) => file.used);
    if (used === undefined || !("found" in used) || !report.load?.ok) throw new Error(stdout);
    expect(addon?.torch).toBe(used.found.minor);
    // What the loaded library says of itself, against what was read from files.
    expect(report.load.versions.torch.split(".").slice(0, 2).join(".")).toBe(used.found.minor);
    expect(report.load.threads).toBeGreaterThan(0);
  });

  it("prints the same for people", () => {
    const { status, stdout } = doctor([]);
    expect(stdout).toContain("All is well.");
    expect(stdout).toMatch(/\* \S+ +2\.\d+\.\d+/);
    const manifest = path.join(packageRoot, "node_modules", "sharp", "package.json");
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
    expect(stdout).toContain(`Images    decoded by sharp ${version}`);
    expect(status).toBe(0);
  });

  it("says what is broken and how to mend it, with exit code 1", () => {
    const mismatch = doctor(["--json"], { TORCHSEARCH_LIBTORCH: fakeTorch("2.4.1+cpu") });
    expect(mismatch.status).toBe(1);
    const [problem] = (JSON.parse(mismatch.stdout) as DoctorReport).problems;
    expect(problem?.code).toBe("ERR_LIBTORCH_MISMATCH");
    expect(problem?.message).toContain("2.4.1+cpu");
    const missing = doctor([], { TORCHSEARCH_LIBTORCH: path.join(folder, "nowhere") });
    expect(missing.status).toBe(1);
    expect(missing.stdout).toContain("ERR_LIBTORCH_NOT_FOUND");
    expect(missing.stdout).toContain("unset it");
    expect(missing.stdout).toMatch(
      /The addon here is built for LibTorch 2\.\d+: any other version needs a build/,
    );
  });

  it("survives a LibTorch whose libraries cannot be opened", () => {
    const healthy = JSON.parse(doctor(["--json"]).stdout) as DoctorReport;
    const version = `${healthy.addons[0]?.torch}.0`;
    const { status, stdout } = doctor(["--json"], { TORCHSEARCH_LIBTORCH: fakeTorch(version) });
    expect(status).toBe(1);
    const [problem] = (JSON.parse(stdout) as DoctorReport).problems;
    expect(problem?.code).toBe("ERR_LIBTORCH_LOAD");
    expect(problem?.message).toContain(sharedLibrary("c10"));
  });
});
