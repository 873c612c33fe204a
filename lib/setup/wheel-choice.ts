/** Which of PyTorch's wheels fits this machine. */
import { TorchSearchError } from "../errors";
import { minorOf } from "../native/addon-files";
import type { IndexFile } from "./python-index";

/** What a wheel's name says (PEP 427). */
export interface WheelName {
  /** Such as `2.13.0+cpu`. */
  version: string;
  /** The build, such as `cpu` or `cu126`; null where the version has no local part. */
  variant: string | null;
  /** Such as `cp312`. */
  python: string;
  /** Such as `manylinux_2_28_x86_64`. */
  platforms: string[];
}

/** Reads a wheel's name; null for other files, and for wheels of other packages. */
export function parseWheelName(name: string): WheelName | null {
  const match = /^torch-([^-]+)(?:-\d[^-]*)?-([^-]+)-[^-]+-([^-]+)\.whl$/.exec(decodeURIComponent(name));
  if (match === null) return null;
  const [, version = "", python = "", platforms = ""] = match;
  const variant = /\+(.+)$/.exec(version)?.[1] ?? null;
  return { version, variant, python, platforms: platforms.split(".") };
}

/** Whether a wheel of this platform tag runs here. */
export function fitsPlatform(tag: string, platform = process.platform, arch = process.arch): boolean {
  const machines: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };
  if (platform === "linux") {
    return new RegExp(`^(manylinux\\w*|linux)_${machines[arch] ?? arch}$`).test(tag);
  }
  if (platform === "darwin") return new RegExp(`^macosx_\\w+_(${arch}|universal2)$`).test(tag);
  return platform === "win32" && tag === (arch === "arm64" ? "win_arm64" : "win_amd64");
}

/**
 * The newest wheel of a minor version that fits this machine. Any Python's will do: the library in it is the same.
 *
 * @param variant `cpu`, or a tag such as `cu126`; `cuda` for any of those. A wheel without a variant in its version
 *   serves `cpu` where there is no other
 * @throws `ERR_SETUP_NO_WHEEL` saying what there is
 */
export function chooseWheel(
  files: readonly IndexFile[],
  minor: string,
  variant: string,
): IndexFile & WheelName {
  const wheels = files.flatMap((file) => {
    const parsed = parseWheelName(file.name);
    // Not a release: a1, b2, rc1, .dev20260101.
    if (parsed === null || !/^\d+(\.\d+)*(\+.*)?$/.test(parsed.version)) return [];
    return [{ ...file, ...parsed }];
  });
  const here = wheels.filter(({ platforms }) => platforms.some((tag) => fitsPlatform(tag)));
  const fitting = here.filter(({ version }) => minorOf(version.replace(/\+.*/, "")) === minor);
  const exact = fitting.filter((wheel) => isVariant(wheel.variant, variant));
  const plain = fitting.filter((wheel) => wheel.variant === null && variant === "cpu");
  const [best] = (exact.length > 0 ? exact : plain).sort((a, b) => newestFirst(a, b));
  if (best !== undefined) return best;
  const list = (values: (string | null)[]): string => [...new Set(values)].join(", ") || "none";
  const has =
    wheels.length === 0
      ? "it has no wheels of torch"
      : here.length === 0
        ? `its wheels are for ${list(wheels.flatMap(({ platforms }) => platforms))}`
        : `for this platform it has ${list(here.map(({ version }) => version))}`;
  throw new TorchSearchError(
    "ERR_SETUP_NO_WHEEL",
    `The index has no PyTorch ${minor} (${variant}) for ${process.platform}-${process.arch}: ${has}. Name another ` +
      "index (--index), another version (--torch) or another build (--cuda).",
  );
}

/** Whether a wheel's variant is the one that was asked for. */
export function isVariant(variant: string | null, wanted: string): boolean {
  return wanted === "cuda" ? /^cu\d+$/.test(variant ?? "") : variant === wanted;
}

function newestFirst(a: WheelName, b: WheelName): number {
  const order = (x: string, y: string): number => y.localeCompare(x, "en", { numeric: true });
  return order(a.version, b.version) || order(a.python, b.python);
}
