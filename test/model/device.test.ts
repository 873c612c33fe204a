import { describe, expect, it } from "vitest";

import { deviceMemory, graphCapture, resetDeviceMemoryPeak, setGraphCapture } from "../../lib";
import { addon } from "../../lib/native/addon";

describe("the memory of a device", () => {
  it("is not counted for the CPU", () => {
    expect(deviceMemory("cpu")).toBeNull();
    expect(resetDeviceMemoryPeak("cpu")).toBeUndefined();
  });

  it.skipIf(addon().versions().cuda)("can't be asked of a device that is not there", () => {
    for (const name of ["cuda:0", "cuda", "tpu", ""]) {
      expect(() => deviceMemory(name)).toThrow(expect.objectContaining({ code: "ERR_DEVICE" }));
      expect(() => resetDeviceMemoryPeak(name)).toThrow(expect.objectContaining({ code: "ERR_DEVICE" }));
    }
  });
});

describe("graphs of kernels", () => {
  it("are off, can be turned on, and are not offered on the CPU", () => {
    expect(graphCapture("cpu")).toEqual({ on: false, offered: false });
    setGraphCapture(true);
    expect(graphCapture("cpu")).toEqual({ on: true, offered: false });
    setGraphCapture(false);
    expect(() => setGraphCapture("yes" as unknown as boolean)).toThrow(
      expect.objectContaining({ code: "ERR_ARGUMENT" }),
    );
  });
});
