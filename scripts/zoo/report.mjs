// Writes docs/zoo.md from the records.
import { wrapped } from "../lib/wrap.mjs";
import { failureOf } from "./check.mjs";
import { fixturesVersion, formsOf } from "./models.mjs";

const PRUNED = ["load", "convert", "prune", "export", "verify", "train"];

/** Above this size, weights rather than activations decide a model's memory. */
const LARGE_BYTES = 200 * 2 ** 20;

const ok = (record, ...stages) => stages.every((stage) => record.stages[stage]?.status === "ok");
const percent = (part, whole) => (whole === 0 ? "-" : `${((100 * part) / whole).toFixed(1)} %`);
const mib = (bytes) => (bytes === undefined ? "" : (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0));
const count = (n) => {
  if (n >= 1e9) return `${(n / 1e9).toPrecision(3)} G`;
  return n >= 1e6 ? `${(n / 1e6).toPrecision(3)} M` : `${(n / 1e3).toPrecision(3)} k`;
};
const cell = (text) => String(text).replaceAll("|", "\\|").replaceAll("\n", " ");
const row = (cells) => `| ${cells.map(cell).join(" | ")} |`;
const median = (values) => {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted.length === 0 ? Number.NaN : sorted[Math.floor(sorted.length / 2)];
};

/** The forms of a kind of models that a page is about. */
const formsOn = (page, kind) => formsOf(kind).filter((form) => page.forms.includes(form));

function summaryRow(title, models, records, wanted, page) {
  const forms = models.flatMap((model) => formsOn(page, model.kind).map((form) => `${model.name}:${form}`));
  const own = records.filter(({ name, form }) => forms.includes(`${name}:${form}`));
  const made = own.filter((record) => ok(record, "make"));
  const profiled = made.filter((record) => ok(record, "profile")).length;
  const pruned = made.filter((record) => ok(record, ...PRUNED)).length;
  // A model counts when every form of it that ran holds.
  const whole = models.filter(({ name }) => {
    const its = made.filter((record) => record.name === name);
    return its.length > 0 && its.every((record) => ok(record, ...(wanted.pruned ? PRUNED : ["profile"])));
  }).length;
  const tried = models.filter(({ name }) => made.some((record) => record.name === name)).length;
  return row([
    title,
    `${tried} of ${models.length}`,
    made.length,
    `${profiled} (${percent(profiled, made.length)})`,
    wanted.pruned ? `${pruned} (${percent(pruned, made.length)})` : "not tried",
    `${whole} (${percent(whole, tried)})`,
  ]);
}

function summary(models, records, page) {
  const of = (kind) => models.filter((model) => model.kind === kind);
  return [
    row([
      "",
      "models run",
      "files",
      "profiled correctly",
      "pruned and verified",
      "models whose files all pass",
    ]),
    row(["---", "---", "---", "---", "---", "---"]),
    ...page.kinds.map(([kind, title]) =>
      summaryRow(title, of(kind), records, { pruned: kind !== "detection" }, page),
    ),
  ];
}

/** Peak memory while converting, above the process's before it loaded the model, relative to a plain forward's. */
function memoryOf(record) {
  const { profile, prune } = record.memory;
  if (!prune) return {};
  const converting = prune.convert - prune.base;
  return {
    converting,
    weights: record.size,
    ofWeights: converting / record.size,
    ofForward: profile?.forward ? converting / (profile.forward - profile.base) : Number.NaN,
  };
}

function line(record) {
  const failure = failureOf(record);
  const { converting, ofForward } = memoryOf(record);
  const share = (metric) =>
    record.costs ? percent(record.costs.half[metric], record.costs.full[metric]) : "";
  let result = failure ? `**${failure.stage}**: ${failure.code}` : "verified";
  if (!failure && record.kind === "detection") result = "profiled";
  if (record.fixtures !== fixturesVersion(record.kind)) result += " (older)";
  return row([
    record.name,
    record.form,
    typeof record.input[0] === "string" ? record.input.join(", ") : record.input.slice(-1)[0],
    mib(record.fileBytes),
    record.params === undefined ? "" : count(record.params),
    record.flops === undefined ? "" : count(record.flops / 2),
    ok(record, "profile") ? "yes" : "**no**",
    record.hyperparameters ?? "",
    record.params && record.narrowableParams !== undefined
      ? percent(record.narrowableParams, record.params)
      : "",
    share("params"),
    share("macs"),
    record.convertSeconds ?? "",
    record.forwardMs ?? "",
    record.subnetMs ?? "",
    mib(converting),
    Number.isFinite(ofForward) ? ofForward.toFixed(2) : "",
    result,
  ]);
}

const HEADER = [
  ...["model", "file", "input", "MiB", "params", "MACs", "profiled", "hyperparameters", "narrowable"],
  ...[
    "params left",
    "MACs left",
    "convert s",
    "forward ms",
    "half's ms",
    "peak MiB",
    "of forward's",
    "result",
  ],
];

function tables(records) {
  const families = [
    ...new Set(records.map(({ kind, family }) => `${kind === "timm" ? "timm " : ""}${family}`)),
  ];
  const titleOf = ({ kind, family }) => `${kind === "timm" ? "timm " : ""}${family}`;
  families.sort((a, b) => a.startsWith("timm ") - b.startsWith("timm ") || (a < b ? -1 : 1));
  const lines = [row(HEADER), row(HEADER.map(() => "---"))];
  for (const title of families) {
    const own = records.filter((record) => titleOf(record) === title);
    own.sort((a, b) => a.params - b.params || (a.name < b.name ? -1 : 1) || (a.form < b.form ? -1 : 1));
    lines.push(...own.map(line));
  }
  return lines;
}

/** A message without addresses and folders of the machine; names such as __torch__ are not emphasis. */
function shownMessage(message) {
  return message
    .split("\n")[0]
    .slice(0, 300)
    .replaceAll(/<function \S+ at 0x[0-9a-f]+>/g, "a function")
    .replaceAll(/(?<![\w.])\/(?:[\w.+-]+\/)+/g, "")
    .replaceAll(/[_*]/g, "\\$&");
}

function failures(records) {
  const failed = records.map((record) => ({ record, failure: failureOf(record) })).filter((x) => x.failure);
  if (failed.length === 0) return ["Nothing that ran failed."];
  const groups = new Map();
  for (const { record, failure } of failed) {
    const message = shownMessage(failure.message);
    const key = `${failure.stage} | ${failure.code} | ${message.replace(/[\d.e+-]+/g, "#").slice(0, 160)}`;
    const group = groups.get(key) ?? { failure, message, names: [] };
    group.names.push(`${record.name}:${record.form}`);
    groups.set(key, group);
  }
  return [
    row(["stage", "code", "message (of the first)", "files"]),
    row(["---", "---", "---", "---"]),
    ...[...groups.values()]
      .sort((a, b) => b.names.length - a.names.length)
      .map(({ failure, message, names }) =>
        row([failure.stage, failure.code, message, names.sort().join(", ")]),
      ),
  ];
}

/** The reasons that keep parameters whole, over all models, ordered by the number of parameters. */
function reasons(records) {
  const groups = new Map();
  for (const record of records) {
    for (const { reason, lostParams } of record.whole ?? []) {
      const group = groups.get(reason) ?? { files: 0, lost: 0, of: 0, worst: 0, worstName: "" };
      if (lostParams > 0) {
        group.files += 1;
        group.lost += lostParams;
        group.of += record.params;
        if (lostParams / record.params > group.worst) {
          group.worst = lostParams / record.params;
          group.worstName = `${record.name}:${record.form}`;
        }
      }
      groups.set(reason, group);
    }
  }
  const all = [...groups].filter(([, { files }]) => files > 0).sort(([, a], [, b]) => b.lost - a.lost);
  if (all.length === 0) return ["No parameter stays whole."];
  return [
    row(["reason", "files", "parameters that stay whole", "of those files' parameters", "most in"]),
    row(["---", "---", "---", "---", "---"]),
    ...all
      .slice(0, 40)
      .map(([reason, { files, lost, of, worst, worstName }]) =>
        row([reason, files, count(lost), percent(lost, of), `${worstName} (${percent(worst, 1)})`]),
      ),
  ];
}

function notRun(models, records, page) {
  const ran = new Set(records.map(({ name, form }) => `${name}:${form}`));
  const left = models.flatMap(({ name, kind }) => {
    const forms = formsOn(page, kind).filter((form) => !ran.has(`${name}:${form}`));
    if (forms.length === 0) return [];
    return [forms.length === formsOn(page, kind).length ? name : `${name}:${forms[0]}`];
  });
  return left.length === 0 ? "All of them ran." : `Not run: ${left.sort().join(", ")}.`;
}

function numbers(records) {
  const memory = records.map(memoryOf).filter(({ converting }) => converting !== undefined);
  const ratios = memory.map(({ ofForward }) => ofForward).filter(Number.isFinite);
  const within = ratios.filter((ratio) => ratio <= 1.3).length;
  const large = memory.filter(({ weights }) => weights > LARGE_BYTES).map(({ ofWeights }) => ofWeights);
  const left = (metric) =>
    median(records.filter(({ costs }) => costs).map(({ costs }) => costs.half[metric] / costs.full[metric]));
  const exported = records.filter(({ form, bitEqual }) => form === "pt2" && bitEqual !== undefined);
  const converted = records.filter(({ stages }) => stages.onnx !== undefined);
  const trained = records.filter(({ form, trainSamples }) => form === "scripted" && trainSamples);
  const builds = new Map();
  for (const { build, commit } of records) {
    const name = commit ? `commit ${commit}` : `build ${build}`;
    builds.set(name, (builds.get(name) ?? 0) + 1);
  }
  const ranWith = [...builds].map(([name, files]) => `${files} with ${name}`).join(", ");
  const versions = new Set(records.map(({ versions }) => JSON.stringify(versions)));
  const dates = records.map(({ date }) => date.slice(0, 10)).sort();
  const older = records.filter(({ fixtures, kind }) => fixtures !== fixturesVersion(kind)).length;
  return [
    `- At half widths, ${percent(left("params"), 1)} of the parameters and ${percent(left("macs"), 1)} of the multiply-adds remain (median of the files).`,
    `- The peak memory of a conversion is ${median(ratios).toFixed(2)} x that of one plain forward pass (median; at most ${Math.max(...ratios).toFixed(2)} x; ${within} of ${ratios.length} files within 1.3 x).`,
    ...(large.length === 0
      ? []
      : [
          `- Of the ${large.length} files with more than 200 MiB of weights, the peak is ${median(large).toFixed(2)} x the weights (median; at most ${Math.max(...large).toFixed(2)} x).`,
        ]),
    ...(exported.length === 0
      ? []
      : [
          `- Of ${exported.length} exported programs, ${exported.filter(({ bitEqual }) => bitEqual).length} give what \`ep.module()\` gives to the last bit; the others agree within 1e-5.`,
          ...conversions(converted),
        ]),
    ...(trained.length === 0
      ? []
      : [
          `- Of ${trained.length} scripted files, converted with one sample, ${trained.filter(({ trainSamples }) => trainSamples > 1).length} train with a batch of two after export.`,
        ]),
    `- Run from ${dates[0]} to ${dates.at(-1)}, with ${[...versions].join(" and ").replaceAll('"', "").replaceAll(/[{}]/g, "")}; files: ${ranWith}.`,
    ...(older === 0
      ? []
      : [
          `- ${older} files, "older" in the table, were made by earlier scripts/fixtures, such as without noise in parameters that start as one constant (layer scales, heads of zeros).`,
        ]),
  ];
}

/** What PyTorch can't do with a model itself is no fault of the subnet's file. */
function conversions(records) {
  const of = (stage) => {
    const tried = records.filter((record) => !record[`${stage}Absent`] && !record[`${stage}SourceFails`]);
    return { tried: tried.length, held: tried.filter((record) => ok(record, stage)).length };
  };
  const [decomposed, onnx] = [of("decompose"), of("onnx")];
  const named = (stage) => records.filter((record) => record[`${stage}SourceFails`]).map(({ name }) => name);
  const beyond = [
    ["decompose", named("decompose")],
    ["convert to ONNX", named("onnx")],
  ].filter(([, names]) => names.length > 0);
  return [
    `- ${decomposed.held} of ${decomposed.tried} subnets decompose, and ${onnx.held} of ${onnx.tried} give the same outputs in onnxruntime.${beyond
      .map(([what, names]) => ` PyTorch does not ${what} these models themselves: ${names.join(", ")}.`)
      .join("")}`,
  ];
}

const INTRODUCTION = `# The zoo

\`npm run zoo\` writes this page; don't edit it. It takes every classification and segmentation model of torchvision and
55 of timm's, with random weights, as \`torch.jit.script\` and as \`torch.jit.trace\` save them. Each file goes through
these stages in processes of its own:

| stage | holds when |
| --- | --- |
| make | PyTorch scripts or traces the model (models that it refuses are not counted) |
| load | the loaded file's output is that of PyTorch's eager model, within 1e-4 of its size |
| profile | parameters are PyTorch's exactly, FLOPs are FlopCounterMode's within 0.1 % |
| convert | \`convert()\` succeeds, and the converted model, its channels in another order, still gives the eager output |
| prune | every width is set to half (the largest choice up to that); the subnet runs and gives finite outputs |
| export | the subnet is exported; a fresh profile of it equals \`cost()\` exactly |
| verify | Python loads the file, gives the selected subnet's output within 1e-5 of its size, and knows every parameter's name |
| train | in Python, one step of gradient descent lowers a loss, with finite gradients |

Detectors are only profiled. The input is a batch of one image, whose side is in the table.
`;

const COLUMNS = `*narrowable*: share of the parameters with a dimension that can be narrowed. *params left*, *MACs left*: what remains at
half widths, about a quarter of the parameters where everything can be narrowed. *convert s*: wall clock, with the
recording forward pass. *forward ms*, *half's ms*: one forward pass of the file and of the exported subnet, on one
thread, the fastest of a few; the machine did other work too. *peak MiB*: the most resident memory while converting,
above the process's before the model was loaded. *of forward's*: that peak against the same of one plain forward pass of
the loaded file.
`;

const MORE = `# More of the zoo

\`npm run zoo -- --kinds more\` writes this page; don't edit it. It takes models of transformers, further ones of timm,
and those of segmentation-models-pytorch, monai and ultralytics, small and with random weights, by the table
scripts/fixtures/zoo_more.json. Their packages are installed in an environment of their own, .zoo/venv. The stages are
those of [zoo.md](zoo.md); FLOPs are FlopCounterMode's of the same run, with attention in its mathematical form. It
leaves out the products of LSTMs (timm/sequencer2d_s), which \`profile()\` counts. Those of
transformers and ultralytics are called through a wrapper that gives their tensors in a tuple, and are only traced.
`;

const EXPORTED = `# The zoo as exported programs

\`npm run zoo -- --form pt2 --kinds classification,timm,segmentation,transformers\` writes this page; don't edit it. The
models are those of [zoo.md](zoo.md) and the transformers of [zoo-more.md](zoo-more.md), as \`torch.export.save\` saves
them, with a dynamic batch where the model has one. What \`torch.export.export\` refuses isn't counted. The stages are
those of zoo.md, with these differences: a loaded program also gives what \`torch.export.load(file).module()\` gives,
within 1e-5; the subnet at half widths is exported as \`.pt2\`, and Python loads, runs and trains that. Some models go
through \`run_decompositions()\`, \`torch.onnx.export\` and onnxruntime as well (\`CONVERTED\` in scripts/zoo/models.mjs).
`;

/** The pages, the forms of the models on each, and their kinds with titles. */
export const PAGES = [
  {
    file: "zoo-pt2.md",
    introduction: EXPORTED,
    forms: ["pt2"],
    kinds: [
      ["classification", "torchvision, classification"],
      ["timm", "timm"],
      ["segmentation", "torchvision, segmentation"],
      ["transformers", "transformers"],
    ],
  },
  {
    file: "zoo.md",
    forms: ["scripted", "traced"],
    introduction: INTRODUCTION,
    kinds: [
      ["classification", "torchvision, classification"],
      ["timm", "timm"],
      ["segmentation", "torchvision, segmentation"],
      ["detection", "torchvision, detection"],
    ],
  },
  {
    file: "zoo-more.md",
    forms: ["scripted", "traced"],
    introduction: MORE,
    kinds: [
      ["transformers", "transformers"],
      ["timm-more", "timm, others"],
      ["smp", "segmentation-models-pytorch"],
      ["monai", "monai"],
      ["ultralytics", "ultralytics"],
    ],
  },
];

/** A page's text. */
export function zooReport(known, models, page) {
  const text = [
    page.introduction,
    ...summary(models, known, page),
    "",
    ...numbers(known),
    "",
    notRun(models, known, page),
    "",
    "## What failed",
    "",
    ...failures(known),
    "",
    "## What stays whole",
    "",
    "Reasons why no dimension of a parameter can be narrowed, over all files.",
    "",
    ...reasons(known),
    "",
    "## All files",
    "",
    COLUMNS,
    ...tables(known),
  ];
  return `${wrapped(text.join("\n"))}\n`;
}
