import type { Command } from "commander";
import { type ModeRecord, readHistory } from "../model/history";
import { loadModelFile } from "./load-model";
import { declare, type GivenOf } from "./options/declare";
import { print, printJson } from "./output";

async function run(file: string, { json = false }: GivenOf<"history">): Promise<void> {
  using module = await loadModelFile(file);
  const { records, problem } = readHistory(module.native);
  if (problem !== null) throw problem;
  if (json) printJson({ model: file, history: records });
  else print(records.length === 0 ? `${file} has no history.\n` : records.map(describeRecord).join("\n"));
}

/** A record as a few lines. */
function describeRecord(record: ModeRecord, at: number): string {
  const { mode, search, result, versions, from, config } = record;
  const lines = [`${at + 1}. ${mode}${search === null ? "" : `, ${search.searcher}, seed ${search.seed}`}`];
  const line = (name: string, value: unknown): void => {
    lines.push(`   ${name.padEnd(12)} ${typeof value === "string" ? value : JSON.stringify(value)}`);
  };
  if (search !== null) {
    line("constraints", search.constraints);
    if (search.score !== null) line("score", search.score);
  }
  for (const [name, value] of Object.entries(result)) line(name, value);
  line("settings", config);
  line("from", from);
  line("versions", `torchsearch ${versions.torchsearch}, LibTorch ${versions.libtorch}`);
  return `${lines.join("\n")}\n`;
}

/** Adds `torchsearch history`. */
export function addHistoryCommand(program: Command): void {
  declare(program, "history", run);
}
