import { TorchSearchError } from "../errors";

/** What Node says of its process: https://nodejs.org/api/report.html */
interface Report {
  header: { glibcVersionRuntime?: string };
}

/** Whether Node runs on Linux with another C library than glibc, such as musl (Alpine Linux). Takes milliseconds. */
export function isWithoutGlibc(report: () => unknown = () => process.report.getReport()): boolean {
  if (process.platform !== "linux") return false;
  const { report: settings } = process as { report: { excludeNetwork?: boolean } };
  const before = settings.excludeNetwork;
  // Looking up the names of network interfaces can take seconds.
  settings.excludeNetwork = true;
  try {
    return (report() as Report).header.glibcVersionRuntime === undefined;
  } finally {
    settings.excludeNetwork = before ?? false;
  }
}

/**
 * The error in place of one that names no LibTorch or no addon, where the C library is the reason: no LibTorch is there
 * to be found.
 */
export function unsupportedLibc(cause: unknown): TorchSearchError {
  return new TorchSearchError(
    "ERR_LIBC",
    "This Node runs with another C library than glibc (such as musl, on Alpine Linux). PyTorch publishes LibTorch for " +
      "glibc only. Use an image with glibc, such as node:20-slim.",
    { cause },
  );
}
