/** Training the result of a search: the settings that follow from the search's own. */

import path from "node:path";
import { stemOf } from "../model/file-format";

import { parseInputs } from "../profile/input-spec";
import { programGiven, trustArguments } from "./load-model";
import type { OpenData } from "./open-data";
import { defaultsOf, type SettingsOf } from "./options/table";
import { argumentsFor, classesArguments } from "./options/written";
import type { SearchRequest } from "./request";

/** Everything that training was asked for, complete. */
export interface FinetuneRequest extends SettingsOf<"finetune"> {
  model: string;
  output: string;
  checkpoint: string;
}

/** Epochs that a search advises. */
const ADVISED_EPOCHS = 3;

/** Where training saves its result and its state where no file is named. */
export function finetuneFiles(
  model: string,
  { output = null, checkpoint = null }: { output?: string | null; checkpoint?: string | null },
): { output: string; checkpoint: string } {
  const saved = output ?? path.resolve(`${stemOf(path.basename(model))}.finetuned.pt`);
  return {
    output: saved,
    checkpoint: checkpoint ?? `${stemOf(saved)}.finetune.safetensors`,
  };
}

/**
 * The training of a search's result, with the full model as the teacher, on the data that the search used: those that it
 * held out stay held out, and choose the best epoch.
 */
export function trainingOf(
  search: SearchRequest,
  { target, labels, rows }: Pick<OpenData, "target" | "labels" | "rows">,
  signature: string,
): FinetuneRequest {
  const { data, inputArrays, targetArray, dtype, images, device, holdout } = search;
  const { evalData, evalInputArrays, evalTargetArray, outputKey, classDimension } = search;
  const numbers = (search.input ?? []).filter((entry) => parseInputs([entry], signature).numbers.length > 0);
  // Probabilities are no labels to train on; the teacher alone is.
  const targets = target !== null && rows !== "probabilities";
  const values = targets && !labels;
  const output = `${stemOf(search.output)}.finetuned${path.extname(search.output) || ".pt"}`;
  return {
    ...(({ json: _json, resume: _resume, settings: _settings, ...rest }) => rest)(defaultsOf("finetune")),
    data,
    inputArrays,
    targetArray,
    dtype,
    images,
    device,
    outputKey,
    classDimension,
    input: numbers.length > 0 ? numbers : null,
    teacher: search.model,
    teacherModel: programGiven(),
    epochs: search.finetuneEpochs ?? ADVISED_EPOCHS,
    ...(values && { loss: "meanSquaredError" as const }),
    ...(!targets && { alpha: 1 }),
    // The same batches as in the search are held out.
    ...(holdout !== null &&
      targets && { holdout, batchSize: search.batchSize, seed: search.seed, shuffle: search.shuffle }),
    ...(evalData !== null && targets && { evalData, evalInputArrays, evalTargetArray }),
    model: search.output,
    ...finetuneFiles(search.output, { output }),
  };
}

/**
 * The arguments of `torchsearch finetune` for a request, complete. Names of classes, which the command takes from a file,
 * are saved as one beside the model.
 */
export async function finetuneArguments({
  model,
  output,
  checkpoint,
  ...rest
}: FinetuneRequest): Promise<string[]> {
  const own = finetuneFiles(model, {});
  const files = {
    ...(output !== own.output && { output }),
    ...(checkpoint !== finetuneFiles(model, { output }).checkpoint && { checkpoint }),
  };
  return [
    "finetune",
    path.relative(process.cwd(), model),
    ...argumentsFor("finetune", { ...rest, ...files }),
    ...(await classesArguments(rest.images, model)),
    ...trustArguments(),
  ];
}
