// Prints the LibTorch to build against; CMakeLists.txt asks when it was given none.
import { libTorchForBuild } from "./lib/native.mjs";
import { main } from "./lib/run.mjs";

main(() => process.stdout.write(`${libTorchForBuild()}\n`));
