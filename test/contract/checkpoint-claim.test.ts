/** The file of a checkpoint: one process at a time, one generation in reserve, nothing left of processes that were killed. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { readCheckpoint, TorchSearchError } from "../../lib";
import { writeCheckpoint } from "../../lib/contract/checkpoint";
import { decodeSafetensors, encodeSafetensors } from "../../lib/data/safetensors";
import { writeFileAtomic } from "../../lib/util/atomic-file";
import { placeOfProcesses, thisProcess } from "../../lib/util/process-place";
import { FakeModel, TrialSearcher } from "./doubles";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-claim-"));
  file = path.join(folder, "state.safetensors");
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const search = (searcher = new TrialSearcher(), trials = 3) =>
  searcher.search(new FakeModel(), {}, null, { checkpoint: file, trials, seed: 2 });
const files = () => readdirSync(folder).sort();

async function codeOf(promise: Promise<unknown>): Promise<TorchSearchError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TorchSearchError);
  return error as TorchSearchError;
}

/** The number of a process that has ended. */
function endedPid(): number {
  return spawnSync(process.execPath, ["-e", ""]).pid;
}

/** Stops a search after its second trial. */
async function interrupted(): Promise<void> {
  const searcher = new TrialSearcher();
  searcher.afterTrial = (trial) => {
    if (trial === 2) throw new Error("enough");
  };
  await expect(search(searcher)).rejects.toThrow("enough");
}

describe("a checkpoint that is in use", () => {
  it("is refused to a second search of the process, and free when the first has ended, well or not", async () => {
    const first = new TrialSearcher();
    let inside: TorchSearchError | null = null;
    first.afterTrial = async (trial) => {
      if (trial === 1) inside = await codeOf(search());
    };
    await search(first);
    expect(inside).toMatchObject({ code: "ERR_CHECKPOINT_IN_USE" });
    expect(String(inside)).toMatch(/this process.*\.lock/);
    expect(files()).toEqual(["state.safetensors"]);
    rmSync(file);
    await interrupted();
    expect(existsSync(`${file}.lock`)).toBe(false);
    await search();
    expect(files()).toEqual(["state.safetensors"]);
  });

  it("is refused while another process holds it, and taken over once that has ended", async () => {
    const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    try {
      await once(other, "spawn");
      const started = readFileSync(`/proc/${other.pid}/stat`, "utf8").split(") ")[1]?.split(" ")[19] ?? "";
      writeFileSync(`${file}.lock`, JSON.stringify({ ...thisProcess(), pid: other.pid, started }));
      const error = await codeOf(search());
      expect(error.code).toBe("ERR_CHECKPOINT_IN_USE");
      expect(error.message).toContain(String(other.pid));
      other.kill("SIGKILL");
      await once(other, "exit");
      await search();
      expect(files()).toEqual(["state.safetensors"]);
    } finally {
      other.kill("SIGKILL");
    }
  });

  it.skipIf(process.platform !== "linux")(
    "is taken over from a process that nobody has waited for",
    async () => {
      // The shell becomes `sleep`, which never asks after the shell's child.
      const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 60"]);
      try {
        const [line] = (await once(parent.stdout, "data")) as [Buffer];
        const pid = Number(line.toString());
        const statusOf = () => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
        await vi.waitFor(() => expect(statusOf()[0]).toBe("Z"), 10_000);
        writeFileSync(`${file}.lock`, JSON.stringify({ ...thisProcess(), pid, started: statusOf()[19] }));
        await search();
        expect(files()).toEqual(["state.safetensors"]);
      } finally {
        parent.kill("SIGKILL");
      }
    },
  );

  it("is taken over from a process whose number another one has now, but not from another machine's", async () => {
    writeFileSync(`${file}.lock`, JSON.stringify({ ...thisProcess(), started: "1" }));
    await search();
    writeFileSync(`${file}.lock`, JSON.stringify({ place: "elsewhere", pid: endedPid(), started: "1" }));
    expect((await codeOf(search())).code).toBe("ERR_CHECKPOINT_IN_USE");
    writeFileSync(`${file}.lock`, "not a lock");
    expect((await codeOf(search())).message).toContain(`${file}.lock`);
  });

  it("goes to one of several that find a lock left behind", async () => {
    writeFileSync(`${file}.lock`, JSON.stringify({ ...thisProcess(), pid: endedPid() }));
    const slow = () => {
      const searcher = new TrialSearcher();
      searcher.afterTrial = () => new Promise((resolve) => setTimeout(resolve, 20));
      return search(searcher);
    };
    const ends = await Promise.allSettled(Array.from({ length: 8 }, slow));
    expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const end of ends) {
      if (end.status === "rejected") expect(end.reason).toMatchObject({ code: "ERR_CHECKPOINT_IN_USE" });
    }
    expect(files()).toEqual(["state.safetensors"]);
  });
});

describe("the generation before the newest", () => {
  it("is kept during a search, used aloud when the newest is damaged, and forgotten at the end", async () => {
    await interrupted();
    expect(files()).toEqual(["state.safetensors", "state.safetensors.previous"]);
    const newest = readFileSync(file);
    const kept = (await readCheckpoint(file))?.state.history as number[];
    for (const damage of [
      Buffer.alloc(0),
      newest.subarray(0, newest.length >> 1),
      Buffer.from("x".repeat(99)),
    ]) {
      writeFileSync(file, damage);
      const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
      const found = await readCheckpoint(file);
      expect(found?.state.history).toEqual(kept.slice(0, -1));
      expect(warn).toHaveBeenCalledWith(expect.stringContaining(`${file}.previous`), {
        type: "TorchSearchWarning",
        code: "ERR_CHECKPOINT_CORRUPT",
      });
      warn.mockRestore();
    }
    vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
    const resumed = await search();
    rmSync(file);
    const straight = await search();
    expect(resumed.stateDict).toEqual(straight.stateDict);
    expect(files()).toEqual(["state.safetensors"]);
  });

  it("doesn't outlive the checkpoint: who removes that starts from scratch", async () => {
    await interrupted();
    rmSync(file);
    expect(await readCheckpoint(file)).toBeNull();
    const searcher = new TrialSearcher();
    searcher.afterTrial = () => {
      expect(existsSync(`${file}.previous`)).toBe(searcher.stateDict().history.length > 1);
    };
    await search(searcher);
  });

  it("is no help where it is damaged, too", async () => {
    await interrupted();
    writeFileSync(file, "x");
    writeFileSync(`${file}.previous`, "y");
    expect((await codeOf(readCheckpoint(file))).code).toBe("ERR_CHECKPOINT_CORRUPT");
  });
});

describe("a checkpoint's digest", () => {
  const checkpoint = {
    state: { weights: Float32Array.of(1, 2) },
    fingerprint: "f00d",
    random: [1, 2, 3, 4] as [number, number, number, number],
    searcher: "Some",
    settings: {},
  };
  it.each([
    ["the random state", "random", "[1,2,3,5]"],
    ["the fingerprint", "fingerprint", "beef"],
    ["the settings", "settings", '{"a":1}'],
  ])("covers %s", async (_, key, value) => {
    await writeCheckpoint(file, checkpoint);
    const { tensors, metadata } = await decodeSafetensors(readFileSync(file));
    expect(metadata[key]).toBeDefined();
    writeFileSync(file, Buffer.concat(encodeSafetensors(tensors, { ...metadata, [key]: value })));
    expect((await codeOf(readCheckpoint(file))).code).toBe("ERR_CHECKPOINT_CORRUPT");
  });

  it("covers dtypes and shapes, and may be an earlier version's, which didn't", async () => {
    await writeCheckpoint(file, checkpoint);
    const { tensors, metadata } = await decodeSafetensors(readFileSync(file));
    const { frame_digest: _, ...earlier } = metadata;
    const [[name, tensor]] = [...tensors] as [[string, { dtype: "F32"; shape: number[]; bytes: Uint8Array }]];
    const other = new Map([[name, { ...tensor, shape: [1, 2] }]]);
    writeFileSync(file, Buffer.concat(encodeSafetensors(other, metadata)));
    expect((await codeOf(readCheckpoint(file))).code).toBe("ERR_CHECKPOINT_CORRUPT");
    writeFileSync(file, Buffer.concat(encodeSafetensors(tensors, earlier)));
    expect((await readCheckpoint(file))?.random).toEqual([1, 2, 3, 4]);
  });
});

describe("temporary files", () => {
  it("of processes that have ended go with the next write; those of running ones and other machines stay", async () => {
    const name = (place: string, pid: number) =>
      path.join(folder, `.state.safetensors.${place}${pid}-0-1.tmp`);
    const place = placeOfProcesses();
    const left = [name(`${place}-`, endedPid()), name("", 7)];
    const old = new Date(Date.now() - 7_200_000);
    const stay = [
      name(`${place}-`, process.ppid),
      name("00000000-", endedPid()),
      path.join(folder, "other.tmp"),
    ];
    for (const each of [...left, ...stay]) writeFileSync(each, "x");
    utimesSync(left[1] as string, old, old);
    await writeFileAtomic(file, [Buffer.from("whole")]);
    expect(left.filter(existsSync)).toEqual([]);
    expect(stay.filter(existsSync)).toEqual(stay);
    expect(readFileSync(file, "utf8")).toBe("whole");
  });

  it("are none of another file's, and no links are followed", async () => {
    const outside = path.join(folder, "precious");
    writeFileSync(outside, "precious");
    const link = path.join(folder, `.state.safetensors.${placeOfProcesses()}-${endedPid()}-0-1.tmp`);
    symlinkSync(outside, link);
    writeFileSync(path.join(folder, `.other.${placeOfProcesses()}-${endedPid()}-0-1.tmp`), "x");
    await writeFileAtomic(file, [Buffer.from("whole")]);
    expect(readFileSync(outside, "utf8")).toBe("precious");
    expect(files().filter((each) => each.startsWith(".other."))).toHaveLength(1);
  });
});
