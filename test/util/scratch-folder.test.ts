import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, it } from "vitest";

import { makeScratchFolder } from "../../lib/util/atomic-file";
import { placeOfProcesses } from "../../lib/util/process-place";

const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-scratch-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("folders of processes that were killed go with the next one; others stay", async () => {
  const file = path.join(folder, "small.pt");
  const gone = spawnSync(process.execPath, ["-e", ""]).pid;
  const made = (name: string): string => {
    mkdirSync(path.join(folder, name));
    writeFileSync(path.join(folder, name, "full.pt"), "");
    return path.join(folder, name);
  };
  const left = made(`.small.pt.${placeOfProcesses()}-${gone}-0-1.tmp`);
  const staying = [
    made(`.small.pt.${placeOfProcesses()}-${process.ppid}-0-1.tmp`),
    made(`.small.pt.00000000-${gone}-0-1.tmp`), // another machine's
    made(`.other.pt.${placeOfProcesses()}-${gone}-0-1.tmp`),
    made(".small.pt.mine"),
  ];
  const scratch = await makeScratchFolder(file);
  expect(existsSync(left)).toBe(false);
  for (const each of staying) expect(existsSync(path.join(each, "full.pt"))).toBe(true);
  expect(readdirSync(scratch)).toEqual([]);
  if (process.platform !== "win32") expect(statSync(scratch).mode & 0o77).toBe(0);
  expect(await makeScratchFolder(file)).not.toBe(scratch);
  expect(existsSync(scratch)).toBe(true);
});
