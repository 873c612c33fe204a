// Prints the LibTorch to build against; CMakeLists.txt runs it when none is given.
import { libTorchForBuild } from "./lib/native.mjs";
import { main } from "./lib/run.mjs";

main(async () => process.stdout.write(`${await libTorchForBuild()}\n`));
