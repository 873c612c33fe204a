/** Exported files, judged in Python by scripts/python/verify_subnet.py. */
import { execFileSync } from "node:child_process";
import path from "node:path";

import { python } from "../data/python";
import { root } from "./zoo";

/** Runs one process over all requests; the answers by the requests' ids. */
export function verifySubnets<Answer extends { id: string }>(
  requests: readonly Record<string, unknown>[],
): Map<string, Answer> {
  const script = path.join(root, "scripts", "python", "verify_subnet.py");
  // The first line only says that the process is ready.
  const [, ...lines] = execFileSync(python, [script, "--serve", "--threads", "1"], {
    input: requests.map((request) => `${JSON.stringify(request)}\n`).join(""),
    encoding: "utf8",
    maxBuffer: 1 << 28,
  }).split("\n");
  const answers = lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Answer);
  return new Map(answers.map((answer) => [answer.id, answer]));
}
