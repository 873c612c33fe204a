/** Training as a record of a model's history. */
import { readHistory, UNREADABLE_FILE, writeHistory } from "../model/history";
import type { Module } from "../model/module";
import { libraryVersions } from "../native/versions";
import { plainRecord } from "../util/plain";

/**
 * Adds a record to the history of a module that was trained in place, which `save` writes.
 *
 * @param training `from`: the fingerprint of the module before; `config`: what decided the result; `result`: steps and
 *   scores
 */
export function recordTraining(
  module: Module,
  {
    from,
    config,
    result,
  }: { from: string; config: Record<string, unknown>; result: Record<string, unknown> },
): void {
  const { records, problem, text } = readHistory(module.native);
  writeHistory(module.native, [
    ...records,
    {
      mode: "finetune",
      config: plainRecord(config),
      from,
      search: null,
      result: plainRecord(result),
      versions: libraryVersions(),
    },
  ]);
  if (problem !== null && text !== null) module.native.setExtraFile(UNREADABLE_FILE, text);
}
