import { type Command, Option } from "commander";

import { collected } from "./options";

/** The options that say which files hold the data, the same for every command. */
export function addDataFiles(command: Command, { required = false } = {}): Command {
  const files = new Option(
    "--data <file...>",
    "a .npz or .safetensors file, .npy files (inputs, targets; or name=file), or a folder of images",
  )
    .argParser(collected)
    .makeOptionMandatory(required);
  return command
    .addOption(files)
    .option(
      "--input-array <name...>",
      "the arrays that the model gets (default: by name, such as images or x)",
      collected,
    )
    .option("--target-array <name>", "the array of the targets (default: by name, such as labels or y)");
}
