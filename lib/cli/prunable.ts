/** `torchsearch prunable`. */

import type { Command } from "commander";
import { closeTensors } from "../data/raw-tensor";
import { convert } from "../mode/convert";
import { formatBytes, formatCount, formatPercent } from "../profile/units";
import type { Importance } from "../space/importance";
import { type ParameterDimension, type Prunability, prunability } from "../space/prunability";
import type { SearchSpace } from "../space/search-space";
import type { Hyperparameter } from "../space/types";
import { startProgressBar } from "../util/progress-bar";
import { formatTable } from "../util/table";
import { describedInputs } from "./described-inputs";
import { loadModelFile } from "./load-model";
import { declare, type GivenOf } from "./options/declare";
import { defaultsOf } from "./options/table";
import { print, printJson } from "./output";

async function run(file: string, given: GivenOf<"prunable">): Promise<void> {
  const options = { ...defaultsOf("prunable"), ...given };
  const module = await loadModelFile(file, options);
  let inputs: unknown[] = [];
  try {
    const given = await describedInputs(file, options.input, module, options.seed);
    inputs = given.inputs;
    const bar = startProgressBar("converting", 3);
    let space: SearchSpace;
    try {
      space = await convert(module, "fastnas", inputs, {
        ...options.modeOptions,
        channelDivisor: options.channelDivisor,
        importance: options.importance as Importance,
        onProgress: ({ done }) => bar.update(done),
      });
    } finally {
      bar.stop();
    }
    const found = prunability(module, space);
    if (options.json) {
      const hyperparameters = space.hyperparameters.map(
        ({ name, kind, full, choices, channels, tied, fixed }) => ({
          name,
          kind,
          full,
          choices: [...choices],
          channels,
          tied: [...tied],
          fixed,
        }),
      );
      printJson({ model: file, inputs: given.described, hyperparameters, ...found });
    } else {
      print(describe(space.hyperparameters, found, options));
    }
    space.close();
  } finally {
    closeTensors(inputs);
    module.close();
  }
}

/** The printed outcome of `torchsearch prunable`. */
function describe(
  hyperparameters: readonly Hyperparameter[],
  { full, smallest, narrowableParams, whole }: Prunability,
  { examples, channelDivisor: divisor }: { examples: number; channelDivisor: number },
): string {
  const sections: string[] = [];
  // One with a single choice can't be narrowed, although it is a hyperparameter for the searches.
  const narrowed = hyperparameters.filter(({ choices }) => choices.length > 1);
  const single = hyperparameters.filter(({ choices, fixed }) => choices.length === 1 && fixed === null);
  const fixed = single.length;
  const capped = narrowed.some(({ choices, full: width }) => choices.at(-1) !== width);
  if (narrowed.length === 0) {
    sections.push("Nothing of this model can be narrowed.\n");
  } else {
    const rows = narrowed.map(({ name, kind, full: width, choices }) => [
      name,
      kind,
      String(width),
      String(choices[0]),
      ...(capped ? [String(choices.at(-1))] : []),
      String(choices.length),
    ]);
    sections.push(
      formatTable(
        [
          { title: "hyperparameter" },
          { title: "kind" },
          { title: "full", align: "right" },
          { title: "smallest", align: "right" },
          ...(capped ? [{ title: "largest", align: "right" as const }] : []),
          { title: "choices", align: "right" },
        ],
        rows,
      ),
    );
  }
  if (fixed > 0) {
    const names = single.map(({ name, kind, full: width }) => `  ${name} (${kind}, ${width})\n`);
    const shown = names.slice(0, examples);
    const others = names.length - shown.length;
    sections.push(
      `${fixed === 1 ? "1 hyperparameter has" : `${fixed} hyperparameters have`} only one choice, and ` +
        `${fixed === 1 ? "isn't" : "aren't"} listed (--json has all); a smaller --channel-divisor may give more.\n` +
        `Widths are multiples of ${divisor}, and these have no smaller one:\n${shown.join("")}` +
        (others > 0 ? `  … and ${others} more (--examples ${names.length} shows them)\n` : ""),
    );
  }
  const asked = [
    ...hyperparameters.flatMap((each) => (each.fixed === null ? [] : [`  ${each.name}: ${each.fixed}\n`])),
    ...hyperparameters.flatMap(({ name, tied }) =>
      tied.length === 0 ? [] : [`  ${name} has the width of ${tied.join(", ")}\n`],
    ),
  ];
  if (asked.length > 0) sections.push(`As you asked:\n${asked.join("")}`);
  const price = (costs: Prunability["full"]): string[] => [
    formatCount(costs.params),
    formatCount(costs.macs),
    formatCount(costs.flops),
    formatBytes(costs.size),
  ];
  sections.push(
    formatTable(
      [
        { title: "" },
        { title: "params", align: "right" },
        { title: "MACs", align: "right" },
        { title: "FLOPs", align: "right" },
        { title: "size", align: "right" },
      ],
      [
        ["full model", ...price(full)],
        ["smallest subnet", ...price(smallest)],
      ],
    ),
    `${percent(narrowableParams, full.params)} of the parameters belong to tensors that can be narrowed.\n`,
  );
  if (whole.length > 0) {
    const groups = whole.map(({ reason, dimensions, lostParams }) => {
      const lost =
        lostParams === 0
          ? "these parameters can be narrowed along another dimension"
          : `${formatCount(lostParams)} parameters (${percent(lostParams, full.params)}) stay whole for it`;
      const count = dimensions.length === 1 ? "1 dimension" : `${dimensions.length} dimensions`;
      return `  ${reason}: ${count}; ${lost}\n${listed(dimensions, examples)}`;
    });
    sections.push(`What stays whole, by reason:\n${groups.join("")}`);
  }
  return sections.join("\n");
}

function listed(dimensions: readonly ParameterDimension[], examples: number): string {
  const lines = dimensions
    .slice(0, examples)
    .map(({ parameter, dimension, size }) =>
      dimension < 0 ? `    the block ${parameter}\n` : `    ${parameter}, dimension ${dimension} (${size})\n`,
    );
  const others = dimensions.length - lines.length;
  if (others > 0)
    lines.push(`    … and ${others} more (--examples ${dimensions.length} or --json shows them)\n`);
  return lines.join("");
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "0 %" : formatPercent(part / whole);
}

/** Adds `torchsearch prunable`. */
export function addPrunableCommand(program: Command): void {
  declare(program, "prunable", run);
}
