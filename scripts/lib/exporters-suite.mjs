// The suite `exporters`: exported programs that the library wrote go through torch.onnx.export, onnxruntime and
// AOTInductor (docs/exported-programs.md). By name only: it installs ONNX's packages (100 MB), and compiling takes minutes.
import path from "node:path";

import { ensureExporters } from "./python.mjs";

const FILES = ["exported-written", "exported-kinds", "exported-versions"];

/** The tests of written programs once more, with the steps that `npm test` leaves out; `unit` runs them. */
export async function exportersSuite(prepared, unit) {
  const folder = await ensureExporters();
  const env = { ...prepared.env, PYTHONPATH: folder, TORCHSEARCH_TEST_AOTI: "1" };
  return unit(
    { ...prepared, env },
    FILES.map((name) => path.join("test", "model", `${name}.test.ts`)),
  );
}
