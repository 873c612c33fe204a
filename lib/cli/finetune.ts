/** `torchsearch finetune`. */
import { existsSync } from "node:fs";
import path from "node:path";

import type { Command } from "commander";

import { joinGroup } from "../distributed/join";
import { TorchSearchError } from "../errors";
import { formatPercent } from "../profile/units";
import { formatTable } from "../util/table";
import { commandLine } from "./command-line";
import { type FinetuneRequest, finetuneFiles } from "./finetune-request";
import { type FinetuneOutcome, requireTrainable, trainRequest } from "./finetune-run";
import { requireFittingSupernet } from "./finetune-supernet";
import { untilInterrupted } from "./interrupt";
import { declare, type GivenOf } from "./options/declare";
import { badOption } from "./options/kinds";
import { mergeSettings } from "./options/settings";
import type { SettingsOf } from "./options/table";
import { print, printJson, say } from "./output";
import { startLiveLine } from "./search-progress";
import { requireImageFolder } from "./search-request";
import { requireFiles } from "./stored-files";
import { endWithStarter } from "./with-starter";

async function run(model: string, given: GivenOf<"finetune">): Promise<void> {
  const { settings, asked } = mergeSettings("finetune", given);
  if (settings.data.length === 0) throw badOption("Training needs data: give --data.");
  requireFittingSupernet(asked);
  requireSound(settings);
  requireImageFolder(settings);
  requireFiles({
    "The model": [model],
    "The data": [...settings.data, ...(settings.evalData ?? [])],
    "The teacher": [settings.teacher],
  });
  const { output, checkpoint } = finetuneFiles(model, settings);
  if (settings.resume && !existsSync(checkpoint)) {
    throw new TorchSearchError(
      "ERR_FILE_NOT_FOUND",
      `Checkpoint ${checkpoint} does not exist: leave --resume out to start anew.`,
    );
  }
  const args = process.argv.slice(2);
  const remedies = {
    resume: () =>
      existsSync(checkpoint) ? commandLine(settings.resume ? args : [...args, "--resume"]) : null,
    again: commandLine(args.filter((arg) => arg !== "--resume")),
  };
  const request: FinetuneRequest = { ...settings, model: path.resolve(model), output, checkpoint };
  const outcome = await untilInterrupted(remedies, async (signal) => {
    if (given.distributed) endWithStarter();
    const group = given.distributed ? await joinGroup({ signal }) : null;
    const speaks = group === null || group.rank === 0;
    const live = speaks ? startLiveLine() : { onProgress: () => {}, stop: () => {} };
    const context = { args, signal, onProgress: live.onProgress, say: speaks ? say : () => {}, group };
    try {
      return await trainRequest(request, context, asked);
    } finally {
      live.stop();
      await group?.leave();
    }
  });
  if (outcome === null) return; // rank 0 has it
  if (settings.json) printJson(outcome);
  else print(formatOutcome(outcome));
}

/** Refuses settings that contradict each other. @throws `ERR_CLI_OPTION` */
function requireSound(settings: SettingsOf<"finetune">): void {
  const { evalData, evalInputArrays, evalTargetArray, holdout, epochs, steps, teacher, teacherModel } =
    settings;
  if (evalData !== null && holdout !== null)
    throw badOption("Score on a part of the data (--holdout) or on other data (--eval-data), not on both.");
  if (evalData === null && (evalInputArrays !== null || evalTargetArray !== null))
    throw badOption("--eval-input-array and --eval-target-array need --eval-data.");
  if (teacher === null && teacherModel !== null) throw badOption("--teacher-model needs --teacher.");
  if (epochs !== null && steps !== null) throw badOption("Give --epochs or --steps, not both.");
  if (!settings.supernet) requireTrainable(settings);
}

function formatOutcome({ output, score, epochs, supernet, seconds }: FinetuneOutcome): string {
  const shown = score?.title.startsWith("accuracy") ? formatPercent : (value: number) => value.toFixed(4);
  const rows = epochs.map((each) => [
    String(each.epoch),
    String(each.steps),
    each.loss.toFixed(4),
    each.score === null ? "" : shown(each.score),
  ]);
  const columns = ["epoch", "steps", "loss", "score"].map((title) => ({ title, align: "right" as const }));
  const rated =
    score === null
      ? ""
      : `${score.title}: ${shown(score.before)} before, ${shown(score.after)} after (epoch ${score.bestEpoch})\n`;
  const next = supernet === null ? "" : `Find its best subnet with\n  ${supernet.search}\n`;
  return `${formatTable(columns, rows)}${rated}Saved the model as ${output} after ${seconds.toFixed(1)} s\n${next}`;
}

/** Adds `torchsearch finetune`. */
export function addFinetuneCommand(program: Command): void {
  declare(program, "finetune", run);
}
