import { expect, it, vi } from "vitest";

import { warn } from "../../lib/util/warning";

it("warns without what commands a terminal", () => {
  const emit = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  warn("an output called \u001b[2J\u202ename", "SCORE_OUTPUT");
  expect(emit).toHaveBeenCalledExactlyOnceWith("an output called \\u001b[2J\\u202ename", {
    type: "TorchSearchWarning",
    code: "SCORE_OUTPUT",
  });
  emit.mockRestore();
});
