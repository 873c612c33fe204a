/** Programs in processes of their own, which can be killed at any moment. */
import { spawn } from "node:child_process";
import path from "node:path";

import { build } from "esbuild";

import { root } from "./zoo";

/** Bundles TypeScript, whose imports are relative to `resolveDir`, into one script. */
export async function bundle(
  contents: string,
  { resolveDir, outfile, external = [] }: { resolveDir: string; outfile: string; external?: string[] },
): Promise<void> {
  await build({
    stdin: { contents, resolveDir, loader: "ts" },
    bundle: true,
    platform: "node",
    format: "cjs",
    outfile,
    external,
    // Where lib/native/paths.ts would be, so that the bundle finds the addon.
    define: { __dirname: JSON.stringify(path.join(root, "lib", "native")) },
    logLevel: "error",
  });
}

/**
 * Runs a script, and kills it with SIGKILL when `until` is over; null for never. What it printed, or null when it was
 * killed before it came to its end.
 */
export async function runUntil(
  script: string,
  args: readonly string[],
  until: ((hasEnded: () => boolean) => Promise<unknown>) | null,
): Promise<string | null> {
  const child = spawn(process.execPath, [script, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_PATH: path.join(root, "node_modules") },
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    child.on("close", (_, signal) => resolve(signal)),
  );
  if (until !== null) {
    await until(() => child.exitCode !== null);
    child.kill("SIGKILL");
  }
  return (await ended) === "SIGKILL" ? null : output;
}
