// The tools we compare with: installed on demand, never a dependency of the package.
import { existsSync } from "node:fs";
import path from "node:path";

import { ensurePython, python } from "../../scripts/lib/python.mjs";
import { root, run, say } from "../../scripts/lib/run.mjs";

/** The Python that sees nvidia-modelopt, Torch-Pruning and the ONNX exporter beside the project's own PyTorch. */
export const peerPython = path.join(root, ".peers", "bin", "python");

/** ModelOpt, Torch-Pruning, fvcore and torch.onnx, for Python. */
export async function ensurePeers() {
  await ensurePython(["base", "zoo", "timm"]);
  run(python, [path.join("bench", "python", "setup_peers.py")], {
    remedy: "Check the network, then run the same command again.",
  });
}

/** ONNX Runtime for Node, in a folder of its own. */
export function ensureOnnxRuntime() {
  const folder = path.join(root, "bench", "onnxruntime");
  if (existsSync(path.join(folder, "node_modules", "onnxruntime-node"))) return;
  say("Installing onnxruntime-node for the benchmark (300 MB)");
  // Its install script would fetch a CUDA build; the CPU's is in the package.
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: folder,
    remedy: "Check the network, then run the same command again.",
  });
}
