// All benchmarks: name, what it measures, how long it takes on two quiet cores, the page with its table, if it
// writes one, and the scripted models in .zoo that it needs (`takesFiles`: as its arguments, unless others are given).
export const BENCHMARKS = [
  {
    name: "forward",
    minutes: 8,
    page: "benchmarks.md",
    what: "images/s of forward loops, against PyTorch's and ONNX Runtime's",
  },
  {
    name: "search",
    minutes: 15,
    page: "benchmarks.md",
    what: "the whole FastNAS search, against NVIDIA ModelOpt's",
  },
  {
    name: "profile",
    minutes: 2,
    page: "benchmarks.md",
    what: "profile() and convert(), against FlopCounterMode, fvcore and Torch-Pruning",
  },
  {
    name: "startup",
    minutes: 2,
    page: "benchmarks.md",
    what: "from a process's start to its first forward, against import torch",
  },
  {
    name: "overhead",
    minutes: 1,
    page: "benchmarks.md",
    what: "what a call costs beyond the model, against Python's",
  },
  {
    name: "eventloop",
    minutes: 4,
    page: "benchmarks.md",
    what: "delay of Node's event loop during searches",
  },
  {
    name: "memory",
    minutes: 3,
    page: "benchmarks.md",
    what: "peak memory of forward loops, against PyTorch's",
  },
  {
    name: "growth",
    minutes: 6,
    page: "growth.md",
    what: "how cost grows with layers, candidates, batch size and threads",
  },
  {
    name: "cuda",
    minutes: 3,
    page: "cuda.md",
    what: "images/s on a CUDA device, against PyTorch's; one line where there is none",
  },
  {
    name: "costs",
    file: "cost_queries",
    minutes: 1,
    models: ["resnet50"],
    what: "cost queries a second of a search space",
  },
  {
    name: "importance",
    minutes: 2,
    what: "which importance keeps the most accuracy (the table of docs/importance.md)",
  },
  {
    name: "searchers",
    minutes: 4,
    page: "results.md",
    what: "the searchers at equal numbers of measurements",
  },
  {
    name: "finetune",
    minutes: 5,
    page: "results.md",
    what: "accuracy after a search at 50 % and two epochs of training",
  },
  {
    name: "supernet",
    minutes: 8,
    page: "results.md",
    what: "accuracy of subnets at 50 % FLOPs before and after supernet training",
  },
  {
    name: "sparsity",
    minutes: 1,
    page: "results.md",
    what: "accuracy with half of the weights zero (2:4), by magnitude and by SparseGPT",
  },
  {
    name: "milp",
    file: "integer_program",
    minutes: 3,
    models: ["resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0", "densenet121", "vit_b_16", "swin_t"],
    takesFiles: true,
    what: "size and solving time of MilpSearcher's program (the table of docs/results.md)",
  },
  {
    name: "latency",
    file: "latency_error",
    minutes: 3,
    models: ["resnet50"],
    what: "error of latencies from a table",
  },
  {
    name: "reuse",
    minutes: 2,
    what: "what keeping activations spares a sensitivity sweep (the table of docs/evaluation.md)",
  },
  {
    name: "quantization",
    minutes: 10,
    what: "formats found within a bound on effective bits, against ModelOpt's with --peer .peers/bin/python",
  },
];
