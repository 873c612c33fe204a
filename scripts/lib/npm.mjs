import { existsSync, lstatSync, readFileSync } from "node:fs";
import path from "node:path";

import { root, SetupError, say, start } from "./run.mjs";

const modules = path.join(root, "node_modules");

/** Whether node_modules holds what package-lock.json pins, by npm's own record of what it installed. */
function upToDate() {
  const record = path.join(modules, ".package-lock.json");
  if (!existsSync(record)) return false;
  const read = (file) => JSON.parse(readFileSync(file, "utf8")).packages;
  const wanted = read(path.join(root, "package-lock.json"));
  const installed = read(record);
  return Object.entries(wanted).every(
    ([name, entry]) => name === "" || entry.optional || installed[name]?.version === entry.version,
  );
}

/** Runs `npm ci` unless node_modules is as package-lock.json says. */
export async function ensureNodeModules() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 17)) {
    throw new SetupError(`Node ${process.version} is too old: install Node 20.17 or newer.`);
  }
  if (upToDate()) return;
  if (existsSync(modules) && lstatSync(modules).isSymbolicLink()) {
    say("node_modules is a link to another checkout's and differs from package-lock.json; it is left alone");
    return;
  }
  say("Installing npm packages");
  await start("npm", ["ci", "--no-audit", "--no-fund"], {
    remedy: "Check the network, then run the same command again.",
  });
}
