/** How many threads LibTorch gets, and how they wait: the process must leave the cores to those that need them. */
import { spawnSync } from "node:child_process";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";

import { spinningNote } from "../../lib/cli/doctor";
import { computeThreads, type Surroundings } from "../../lib/native/compute-threads";
import { root } from "../support/zoo";

const machine = (
  cores: number,
  files: Record<string, string>,
  env: NodeJS.ProcessEnv = {},
): Surroundings => ({
  cores,
  env,
  read: (file) => files[file] ?? null,
});

describe("the default number of threads", () => {
  it("is the cores of the affinity where no quota is lower", () => {
    expect(computeThreads(machine(8, {}))).toMatchObject({ count: 8, source: "cores" });
    const unlimited = {
      "/proc/self/cgroup": "0::/user.slice\n",
      "/sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
    };
    expect(computeThreads(machine(1, unlimited))).toMatchObject({
      count: 1,
      reason: "this process may run on 1 core",
    });
    const more = { "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "1600000 100000\n" };
    expect(computeThreads(machine(8, more))).toMatchObject({ count: 8, source: "cores" });
  });

  it.each([
    ["of its own group", { "0::/a/b": { "/sys/fs/cgroup/a/b/cpu.max": "200000 100000" } }, 2],
    ["of a group around it", { "0::/a/b": { "/sys/fs/cgroup/a/cpu.max": "300000 100000" } }, 3],
    [
      "the lowest of several",
      {
        "0::/a/b": {
          "/sys/fs/cgroup/a/cpu.max": "300000 100000",
          "/sys/fs/cgroup/a/b/cpu.max": "max 100000",
          "/sys/fs/cgroup/cpu.max": "250000 100000",
        },
      },
      2,
    ],
    ["half a core", { "0::/": { "/sys/fs/cgroup/cpu.max": "50000 100000" } }, 1],
    ["another period", { "0::/": { "/sys/fs/cgroup/cpu.max": "80000 20000" } }, 4],
    [
      "version 1, in a container that sees its group as the root",
      {
        "4:cpu,cpuacct:/docker/1f:2": {
          "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000",
          "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
      },
      2,
    ],
    [
      "version 1, where the controller has a folder of its own",
      {
        "4:cpu:/x": {
          "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "500000",
          "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
        },
      },
      5,
    ],
  ])("keeps within the quota: %s", (_, group, expected) => {
    const [[line, files]] = Object.entries(group) as [[string, Record<string, string>]];
    const found = computeThreads(
      machine(64, { "/proc/self/cgroup": `9:name=systemd:/\n${line}\n`, ...files }),
    );
    expect(found).toMatchObject({ count: expected, source: "quota" });
    expect(found.reason).toMatch(/^the control group may use [\d.]+ of 64 cores$/);
  });

  it("takes no quota where there is none to read, or it makes no sense", () => {
    for (const text of ["", "max", "0 100000", "-1 100000", "100000 0", "x y"]) {
      const files = { "/proc/self/cgroup": "0::/\nnonsense\n", "/sys/fs/cgroup/cpu.max": text };
      expect(computeThreads(machine(16, files))).toMatchObject({ count: 16, source: "cores" });
    }
    const legacy = {
      "/proc/self/cgroup": "1:cpu:/\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    };
    expect(computeThreads(machine(16, legacy))).toMatchObject({ count: 16, source: "cores" });
  });

  it("is the user's own where the environment has one", () => {
    const files = { "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "200000 100000" };
    expect(computeThreads(machine(64, files, { OMP_NUM_THREADS: "5" }))).toEqual({
      count: 5,
      source: "environment",
      reason: "OMP_NUM_THREADS is 5",
    });
    expect(computeThreads(machine(64, files, { OMP_NUM_THREADS: "many" }))).toMatchObject({ count: 2 });
  });
});

describe("OpenMP's threads", () => {
  /** What GNU's runtime says that it read when it was opened, and what the process has in its environment then. */
  function opened(env: NodeJS.ProcessEnv): { read: string; own: string; inherited: string } {
    const script = `
      const { getThreads } = require(${JSON.stringify(path.join(root, "dist"))});
      getThreads();
      const child = require("child_process").execFileSync("sh", ["-c", "echo \${GOMP_SPINCOUNT-none}"]).toString().trim();
      console.log(JSON.stringify({ own: process.env.GOMP_SPINCOUNT ?? "none", inherited: child }));`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ["-e", script], {
      encoding: "utf8",
      env: {
        ...process.env,
        GOMP_SPINCOUNT: undefined,
        OMP_WAIT_POLICY: undefined,
        OMP_DISPLAY_ENV: "VERBOSE",
        ...env,
      },
    });
    expect(status, stderr).toBe(0);
    return { read: /GOMP_SPINCOUNT = '(\w+)'/.exec(stderr)?.[1] ?? stderr, ...JSON.parse(stdout) };
  }

  it("spin briefly, and nothing of it stays in the environment", () => {
    expect(opened({})).toEqual({ read: "1000", own: "none", inherited: "none" });
  });

  it("spin as the user says", () => {
    expect(opened({ GOMP_SPINCOUNT: "77" })).toEqual({ read: "77", own: "77", inherited: "77" });
    expect(opened({ OMP_WAIT_POLICY: "active" }).read).not.toBe("1000");
  });

  it("are named by the doctor where the user lets them spin on a busy machine", () => {
    const cores = os.cpus().length;
    expect(spinningNote(2, cores, {})).toBeUndefined();
    expect(spinningNote(2, cores, { GOMP_SPINCOUNT: "1000" })).toBeUndefined();
    expect(spinningNote(1, cores, { OMP_WAIT_POLICY: "active" })).toBeUndefined();
    expect(spinningNote(2, cores, { OMP_WAIT_POLICY: "ACTIVE" })).toContain("OMP_WAIT_POLICY makes");
    expect(spinningNote(2, cores, { GOMP_SPINCOUNT: "300000" })).toContain("OMP_NUM_THREADS=1");
  });
});
