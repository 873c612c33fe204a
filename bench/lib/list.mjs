// All benchmarks: name, what it measures, how long it takes on two cores, and the page with its table.
export const BENCHMARKS = [
  {
    name: "forward",
    minutes: 8,
    page: "benchmarks.md",
    what: "images/s of forward loops, against PyTorch's and ONNX Runtime's",
  },
];
