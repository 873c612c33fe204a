/** The commands by name. */

const MODEL = { name: "model", help: "a TorchScript file (torch.jit.save)" } as const;

/** The commands: what each does, and its argument. */
export const COMMANDS = {
  search: {
    help: "find the subnet with the best score within the constraints, and save it",
    argument: MODEL,
  },
  resume: {
    help: "continue a search from its checkpoint, with the settings that it was started with",
    argument: { name: "checkpoint", help: "a file that torchsearch search saved" },
  },
  export: { help: "save one subnet of a model: given widths, or the best of a search", argument: MODEL },
  finetune: { help: "train a model, such as the subnet of a search, and save it", argument: MODEL },
  report: {
    help: "explain a search in one HTML file, from its checkpoint, finished or not",
    argument: { name: "state", help: "a checkpoint of a search (*.search.safetensors)" },
  },
  profile: {
    help: "show what a TorchScript model costs: parameters, FLOPs, bytes and latency, by operator",
    argument: MODEL,
  },
  prunable: {
    help: "show which parts of a TorchScript model can be narrowed, and why others can't",
    argument: MODEL,
  },
  history: {
    help: "show which modes, searches and settings made a TorchScript model",
    argument: { name: "model", help: "a TorchScript file that torchsearch exported" },
  },
  doctor: {
    help: "show what torchsearch found on this machine, what is missing, and how to fix it",
    argument: null,
  },
  setup: {
    help: "fetch LibTorch for this machine, with pip or without any Python",
    argument: null,
  },
  build: {
    help: "compile the addon for the LibTorch on this machine, where no prebuilt one fits",
    argument: null,
  },
} as const satisfies Record<string, { help: string; argument: { name: string; help: string } | null }>;

/** The name of a command. */
export type CommandName = keyof typeof COMMANDS;

/** The commands that read data. */
export const DATA_COMMANDS = ["search", "export", "finetune"] as const;
/** The commands that make a search space of data and settings alike. */
export const SEARCH_COMMANDS = ["search", "export"] as const;

/** Flags that earlier versions had: refused, with the present one named. */
export const EARLIER_FLAGS: readonly { command: CommandName; earlier: string; present: string }[] = [
  { command: "search", earlier: "--config", present: "--settings" },
  { command: "finetune", earlier: "--config", present: "--settings" },
  { command: "finetune", earlier: "--subnets", present: "--random-subnets" },
  { command: "prunable", earlier: "--divisor", present: "--channel-divisor" },
];
