/** The commands by name. */

const MODEL = { name: "model", help: "a TorchScript file (torch.jit.save)" } as const;

/** The commands: what each does, its argument, and examples for the end of its help. */
export const COMMANDS = {
  search: {
    help: "find the subnet with the best score within the constraints, and save it",
    argument: MODEL,
    examples: [
      "search model.pt --data data.npz --constraint flops=60% --holdout 20%",
      "search model.pt --data data.npz --constraint flops=50% params=2M --finetune-epochs 3",
      "search model.pt --data images --searcher pareto --iterations 200",
      "search model.pt --data data.npz --mode auto_quantize --constraint effectiveBits=6",
    ],
  },
  resume: {
    help: "continue a search from its checkpoint, with the settings that it was started with",
    argument: { name: "checkpoint", help: "a file that torchsearch search saved" },
    examples: ["resume model.subnet.search.safetensors"],
  },
  launch: {
    help: "search or train in several processes of this machine, which share the work",
    argument: { name: "command...", help: "search, resume or finetune, with its arguments, after --" },
    examples: [
      "launch --nproc 4 -- search model.pt --data data.npz --constraint flops=60%",
      "launch --nproc 4 -- resume model.subnet.search.safetensors",
      "launch --nproc 4 -- finetune model.subnet.pt --data data.npz --teacher model.pt",
    ],
  },
  export: {
    help: "save one subnet of a model: given widths, or the best of a search",
    argument: MODEL,
    examples: [
      "export model.pt --checkpoint model.subnet.search.safetensors --output best.pt",
      "export model.pt --config widths.json --checkpoint model.subnet.search.safetensors --output one.pt",
      "export model.pt --config widths.json --input 1x3x224x224 --output one.pt",
    ],
  },
  finetune: {
    help: "train a model, such as the subnet of a search, and save it",
    argument: MODEL,
    examples: [
      "finetune model.subnet.pt --data data.npz --teacher model.pt --epochs 3",
      "finetune model.subnet.pt --data data.npz --teacher model.pt --holdout 20%",
    ],
  },
  compress: {
    help: "make a trained model smaller, in steps that each learn from the full model, and save it",
    argument: MODEL,
    examples: [
      "compress model.pt --data data.npz --target flops=50%",
      "compress model.pt --data data.npz --max-drop 1% --effort 30",
    ],
  },
  report: {
    help: "explain a search in one HTML file, from its checkpoint, finished or not",
    argument: { name: "state", help: "a checkpoint of a search (*.search.safetensors)" },
    examples: ["report model.subnet.search.safetensors"],
  },
  profile: {
    help: "show what a TorchScript model costs: parameters, FLOPs, bytes and latency, by operator",
    argument: MODEL,
    examples: [
      "profile model.pt --input 1x3x224x224",
      "profile model.pt --input 1x16:int64 --no-latency --json",
    ],
  },
  prunable: {
    help: "show which parts of a TorchScript model can be narrowed, and why others can't",
    argument: MODEL,
    examples: ["prunable model.pt --input 1x3x224x224"],
  },
  history: {
    help: "show which modes, searches and settings made a TorchScript model",
    argument: { name: "model", help: "a TorchScript file that torchsearch exported" },
    examples: ["history model.subnet.pt"],
  },
  doctor: {
    help: "show what torchsearch found on this machine, what is missing, and how to fix it",
    argument: null,
    examples: ["doctor"],
  },
  setup: {
    help: "fetch LibTorch for this machine, with pip or without any Python",
    argument: null,
    examples: ["setup", "setup --cuda"],
  },
  build: {
    help: "compile the addon for the LibTorch on this machine, where no prebuilt one fits",
    argument: null,
    examples: ["build"],
  },
} as const satisfies Record<
  string,
  { help: string; argument: { name: string; help: string } | null; examples: readonly string[] }
>;

/** The name of a command. */
export type CommandName = keyof typeof COMMANDS;

/** The commands that read data. */
export const DATA_COMMANDS = ["search", "export", "finetune", "compress"] as const;
/** The commands that make a search space of data and settings alike. */
export const SEARCH_COMMANDS = ["search", "export"] as const;

/** The commands that make a search space, and take what may be changed in it. */
export const CONTROL_COMMANDS = ["search", "export", "prunable", "compress"] as const;

/** Flags that earlier versions had: refused, with the present one named. */
export const EARLIER_FLAGS: readonly { command: CommandName; earlier: string; present: string }[] = [
  { command: "search", earlier: "--config", present: "--settings" },
  { command: "finetune", earlier: "--config", present: "--settings" },
  { command: "finetune", earlier: "--subnets", present: "--random-subnets" },
  { command: "prunable", earlier: "--divisor", present: "--channel-divisor" },
];
