import { existsSync, readdirSync } from "node:fs";
import path from "node:path";

/** The package's root: two levels above this file, both in `lib/native` and compiled in `dist/native`. */
export const packageRoot = path.resolve(__dirname, "..", "..");

/** Whether this is a checkout of the repository, rather than an installed package. */
const isCheckout = existsSync(path.join(packageRoot, "tsconfig.json"));

/** The command that builds the addon for the LibTorch at hand. */
export const BUILD_COMMAND = isCheckout ? "npm run compile:native" : "npx torchsearch build";

/** The command that sets up all there is to set up in a checkout; null in an installed package. */
export const SETUP_COMMAND = isCheckout ? "npm run setup" : null;

const LIBRARY_SUFFIX = process.platform === "darwin" ? ".dylib" : ".so";

/** File name of a shared library on this platform: `sharedLibrary("c10")` is `libc10.so` on Linux. */
export function sharedLibrary(name: string): string {
  return `lib${name}${LIBRARY_SUFFIX}`;
}

/** Folders in which the Python environment at `prefix` may keep `torch`, newest Python first. */
export function torchFoldersOf(prefix: string): string[] {
  const library = path.join(prefix, "lib");
  let pythons: string[];
  try {
    pythons = readdirSync(library).filter((name) => /^python3\.\d+$/.test(name));
  } catch {
    return [];
  }
  const minor = (name: string) => Number(name.slice("python3.".length));
  return pythons
    .sort((a, b) => minor(b) - minor(a))
    .map((name) => path.join(library, name, "site-packages", "torch"))
    .filter((folder) => existsSync(folder));
}
