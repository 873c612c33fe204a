#!/usr/bin/env node
import { readFileSync } from "node:fs";
import path from "node:path";

import { Command } from "commander";

import { packageRoot } from "../native/paths";
import { addBuildCommand } from "./build";
import { addCompressCommand } from "./compress";
import { addDoctorCommand } from "./doctor";
import { addExportCommand } from "./export";
import { addFinetuneCommand } from "./finetune";
import { addHistoryCommand } from "./history";
import { addLaunchCommand } from "./launch";
import { reportFailure, watchStreams } from "./output";
import { addProfileCommand } from "./profile";
import { addPrunableCommand } from "./prunable";
import { addReportCommand } from "./report";
import { addSearchCommands } from "./search";
import { addSetupCommand } from "./setup";

const { version, description } = JSON.parse(readFileSync(path.join(packageRoot, "package.json"), "utf8")) as {
  version: string;
  description: string;
};

watchStreams();
const program = new Command("torchsearch")
  .description(description)
  .version(version)
  .showHelpAfterError("(add --help for all options)")
  .exitOverride();
addSearchCommands(program);
addLaunchCommand(program);
addExportCommand(program);
addFinetuneCommand(program);
addCompressCommand(program);
addReportCommand(program);
addProfileCommand(program);
addPrunableCommand(program);
addHistoryCommand(program);
addDoctorCommand(program);
addSetupCommand(program);
addBuildCommand(program);

program.parseAsync().catch(reportFailure);
