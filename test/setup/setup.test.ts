/** `torchsearch setup` against a local server that plays the package index, honestly and not. */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { zipSync } from "fflate";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";

import { downloadFolder } from "../../lib/native/downloads";
import { locateLibTorch } from "../../lib/native/locate";
import { sharedLibrary } from "../../lib/native/paths";
import { indexSetting } from "../../lib/setup/settings";
import { isNeeded, setupLibTorch } from "../../lib/setup/setup-libtorch";
import { chooseWheel, fitsPlatform, parseWheelName } from "../../lib/setup/wheel-choice";
import { placeOfProcesses } from "../../lib/util/process-place";
import { Random } from "../../lib/util/random";
import { expectCode } from "../support/tensors";

const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
const PLATFORM = process.platform === "darwin" ? `macosx_11_0_${process.arch}` : `manylinux_2_28_${machine}`;
const NAME = `torch-2.13.0+cpu-cp312-cp312-${PLATFORM}.whl`;

/** A library that does not compress, so that a wheel of it can break off in its middle. */
const random = new Random(1);
const library = Uint8Array.from({ length: 300_000 }, () => random.uint32() & 255);
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const CONTENT: Record<string, Uint8Array> = {
  [`torch/lib/${sharedLibrary("c10")}`]: library.slice(0, 1000),
  [`torch/lib/${sharedLibrary("torch_cpu")}`]: library,
  [`torch/lib/${sharedLibrary("torch_python")}`]: library,
  "torch/version.py": encode("__version__ = '2.13.0+cpu'\n"),
  "torch/include/torch/torch.h": encode("// a header\n"),
  "torch/nn/functional.py": encode("# Python\n"),
  "torch-2.13.0.dist-info/licenses/LICENSE": encode("a licence\n"),
};
const WHEEL = zipSync(CONTENT);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => void;
let server: http.Server;
let origin: string;
let answers: Record<string, Answer>;
let asked: string[];
let cache: string;

beforeAll(async () => {
  server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", origin);
    asked.push(`${pathname}${request.headers.range ? ` ${request.headers.range}` : ""}`);
    const answer = answers[decodeURIComponent(pathname)];
    if (answer === undefined) response.writeHead(404).end();
    else answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

beforeEach(() => {
  cache = mkdtempSync(path.join(os.tmpdir(), "torchsearch-setup-"));
  vi.stubEnv("XDG_CACHE_HOME", cache);
  asked = [];
  answers = { "/simple/torch/": page(link(NAME, sha256(WHEEL))), [`/files/${NAME}`]: serve(WHEEL) };
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true, force: true });
});

const link = (name: string, hash: string | null, more = ""): string =>
  `<a href="../../files/${encodeURIComponent(name)}${hash === null ? "" : `#sha256=${hash}`}"${more}>${name}</a>`;

function page(...links: string[]): Answer {
  return (_, response) =>
    response
      .writeHead(200, { "content-type": "text/html" })
      .end(`<html><body>${links.join("<br>\n")}</body></html>`);
}

/** Serves a file, and the rest of it where a range is asked for. */
function serve(bytes: Uint8Array): Answer {
  return ({ headers }, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1] ?? 0);
    if (start >= bytes.length && start > 0) response.writeHead(416).end();
    else
      response
        .writeHead(start > 0 ? 206 : 200, { "content-length": bytes.length - start })
        .end(bytes.slice(start));
  };
}

const run = (more: Partial<Parameters<typeof setupLibTorch>[0]> = {}) =>
  setupLibTorch({
    torch: "2.13",
    variant: "cpu",
    index: `${origin}/simple/`,
    python: false,
    headers: false,
    ...more,
  });

/** No LibTorch may be found that is not whole: nothing but downloads may lie in the folder. */
function expectNothing(): void {
  const found = existsSync(downloadFolder()) ? readdirSync(downloadFolder()) : [];
  expect(found.filter((name) => name !== "wheels")).toEqual([]);
}

/** The index offers these bytes under the wheel's name, with their own hash. */
function offer(bytes: Uint8Array): void {
  answers["/simple/torch/"] = page(link(NAME, sha256(bytes)));
  answers[`/files/${NAME}`] = serve(bytes);
}

describe("torchsearch setup", () => {
  it("fetches the wheel, unpacks the libraries, and LibTorch is found there", async () => {
    const result = await run();
    expect(result).toMatchObject({ version: "2.13.0+cpu", fetched: true });
    for (const name of ["c10", "torch_cpu"]) {
      const file = `torch/lib/${sharedLibrary(name)}`;
      expect(readFileSync(path.join(result.root, "..", file))).toEqual(
        Buffer.from(CONTENT[file] as Uint8Array),
      );
    }
    expect(readdirSync(path.join(result.root)).sort()).toEqual(["lib", "version.py"]);
    expect(readdirSync(path.join(result.root, "lib"))).not.toContain(sharedLibrary("torch_python"));
    vi.stubEnv("TORCHSEARCH_LIBTORCH", "");
    vi.stubEnv("LIBTORCH", "");
    expect(locateLibTorch()).toMatchObject({
      source: "setup",
      root: result.root,
      version: "2.13.0+cpu",
      cuda: false,
    });
    // Nothing is left of the download.
    expect(readdirSync(path.join(downloadFolder(), "wheels"))).toEqual([]);
  });

  it("reads an index in JSON, by a relative address, through a redirection", async () => {
    answers["/simple/torch/"] = (_, response) => response.writeHead(302, { location: "/other/torch/" }).end();
    answers["/other/torch/"] = (request, response) => {
      expect(request.headers.accept).toContain("application/vnd.pypi.simple.v1+json");
      const files = [
        { filename: NAME, url: "/moved/wheel", hashes: { sha256: sha256(WHEEL) }, yanked: false },
        {
          filename: NAME.replace("2.13.0", "2.13.9"),
          url: "/moved/no",
          hashes: { sha256: "0" },
          yanked: "broken",
        },
      ];
      response.writeHead(200, { "content-type": "application/vnd.pypi.simple.v1+json" });
      response.end(JSON.stringify({ meta: { "api-version": "1.0" }, name: "torch", files }));
    };
    answers["/moved/wheel"] = (_, response) => response.writeHead(307, { location: `/files/${NAME}` }).end();
    expect((await run()).version).toBe("2.13.0+cpu");
  });

  it("does not fetch again what is there, but for its headers", async () => {
    await run();
    asked = [];
    expect((await run()).fetched).toBe(false);
    expect(asked).toEqual(["/simple/torch/"]);
    const { root, fetched } = await run({ headers: true });
    expect(fetched).toBe(true);
    expect(existsSync(path.join(root, "include", "torch", "torch.h"))).toBe(true);
  });

  it("refuses a file with another hash, and deletes it", async () => {
    answers["/simple/torch/"] = page(link(NAME, sha256(encode("another"))));
    await expectCode("ERR_DOWNLOAD_HASH", run);
    expectNothing();
    expect(readdirSync(path.join(downloadFolder(), "wheels"))).toEqual([]);
  });

  it("refuses a file whose hash the index does not give", async () => {
    answers["/simple/torch/"] = page(link(NAME, null));
    await expectCode("ERR_DOWNLOAD_HASH", run);
    expect(asked).toEqual(["/simple/torch/"]);
  });

  it("continues a download that broke off", async () => {
    const cut = 100_000;
    answers[`/files/${NAME}`] = (_, response) => {
      response.writeHead(200, { "content-length": WHEEL.length });
      response.write(WHEEL.slice(0, cut), () => setTimeout(() => response.destroy(), 50));
    };
    const error = await expectCode("ERR_DOWNLOAD", run);
    expect(error.message).toContain("it continues from there");
    expectNothing();
    answers[`/files/${NAME}`] = serve(WHEEL);
    asked = [];
    expect((await run()).fetched).toBe(true);
    expect(asked.at(-1)).toMatch(/ bytes=[1-9]\d*-$/);
  });

  it("begins anew where the server knows no ranges, or what is there is too long", async () => {
    const wheels = path.join(downloadFolder(), "wheels");
    mkdirSync(wheels, { recursive: true });
    // Of a process that was killed: no process has this number.
    const part = path.join(wheels, `${sha256(WHEEL)}.99999999-0.part`);
    writeFileSync(part, Buffer.alloc(50));
    answers[`/files/${NAME}`] = (_, response) => response.writeHead(200).end(WHEEL);
    expect((await run()).fetched).toBe(true);
    rmSync(path.join(downloadFolder(), "2.13.0+cpu"), { recursive: true });
    writeFileSync(part, Buffer.alloc(WHEEL.length + 1));
    answers[`/files/${NAME}`] = serve(WHEEL);
    expect((await run()).fetched).toBe(true);
    // One that was complete is used as it is.
    rmSync(path.join(downloadFolder(), "2.13.0+cpu"), { recursive: true });
    writeFileSync(part, WHEEL);
    answers[`/files/${NAME}`] = (_, response) => response.writeHead(416).end();
    expect((await run()).fetched).toBe(true);
  });

  it("stops when it is aborted, in the middle of the download, and leaves nothing half made", async () => {
    const controller = new AbortController();
    answers[`/files/${NAME}`] = (_, response) => {
      response.writeHead(200, { "content-length": WHEEL.length });
      response.write(WHEEL.slice(0, 1000));
    };
    await expectCode("ERR_ABORTED", () =>
      run({ signal: controller.signal, onProgress: () => controller.abort() }),
    );
    expectNothing();
    const unpacking = new AbortController();
    offer(WHEEL);
    await expectCode("ERR_ABORTED", () =>
      run({
        signal: unpacking.signal,
        onProgress: ({ phase, done }) => {
          if (phase === "unpack" && done === 1) unpacking.abort();
        },
      }),
    );
    expectNothing();
    expect((await run()).fetched).toBe(true);
  });

  it("removes what a process that was killed had begun to unpack", async () => {
    const gone = spawnSync(process.execPath, ["-e", ""]).pid;
    const left = path.join(downloadFolder(), `.unpacking.${placeOfProcesses()}-${gone}-0-1.tmp`);
    mkdirSync(path.join(left, "torch"), { recursive: true });
    expect((await run()).fetched).toBe(true);
    expect(existsSync(left)).toBe(false);
  });

  it("is not disturbed by another one at the same time", async () => {
    const [a, b] = await Promise.all([run(), run({ headers: true })]);
    expect(a?.root).toBe(b?.root);
    expect(existsSync(path.join(a?.root ?? "", "version.py"))).toBe(true);
  });

  it.each([
    ["a name that leads out of the folder", { ...CONTENT, "../evil.so": library }],
    ["an absolute name", { ...CONTENT, "/evil.so": library }],
    ["a name with a backslash", { ...CONTENT, "torch\\lib\\evil.so": library }],
    ["a name with a dot part", { ...CONTENT, "torch/lib/../../../evil.so": library }],
    ["another package", { "numpy/version.py": encode("x") }],
    ["another version", { ...CONTENT, "torch/version.py": encode("__version__ = '2.12.0'\n") }],
    ["no library", { "torch/version.py": CONTENT["torch/version.py"] as Uint8Array }],
  ])("refuses an archive with %s", async (_, content) => {
    offer(zipSync(content as Record<string, Uint8Array>));
    await expectCode("ERR_SETUP_ARCHIVE", run);
    expectNothing();
    expect(existsSync(path.join(cache, "evil.so"))).toBe(false);
  });

  it("refuses links, damaged files, and what is no archive", async () => {
    const entry = (mode: number) =>
      [encode("/etc/passwd"), { os: 3, attrs: (mode << 16) >>> 0 }] as [Uint8Array, object];
    offer(zipSync({ ...CONTENT, "torch/lib/libevil.so": entry(0o120777) }));
    expect((await expectCode("ERR_SETUP_ARCHIVE", run)).message).toContain("link");
    const at = Buffer.from(WHEEL).indexOf(Buffer.from(library.slice(2000, 2064)));
    const stored = zipSync(CONTENT, { level: 0 });
    const middle = Buffer.from(stored).indexOf(Buffer.from(library.slice(2000, 2064)));
    expect(Math.max(at, middle)).toBeGreaterThan(0);
    stored[middle] = (stored[middle] as number) ^ 1;
    for (const bytes of [
      stored,
      WHEEL.slice(0, WHEEL.length - 500),
      encode("<html>sorry</html>"),
      encode(""),
    ]) {
      offer(bytes);
      await expectCode("ERR_SETUP_ARCHIVE", run);
      expectNothing();
    }
  });

  it("says what the index has, where nothing fits", async () => {
    answers["/simple/torch/"] = page(
      link(NAME.replace("2.13.0", "2.12.1"), sha256(WHEEL)),
      link("torch-2.13.0-cp312-cp312-plan9_mips.whl", sha256(WHEEL)),
      link("torch-2.13.0.tar.gz", sha256(WHEEL)),
    );
    const { message } = await expectCode("ERR_SETUP_NO_WHEEL", run);
    expect(message).toContain("2.12.1+cpu");
    answers = {};
    expect((await expectCode("ERR_SETUP_NO_WHEEL", run)).message).toContain("it has no wheels");
    answers["/simple/torch/"] = (_, response) => response.writeHead(503).end();
    expect((await expectCode("ERR_DOWNLOAD", run)).message).toContain("503");
    await expectCode("ERR_DOWNLOAD", () => run({ index: "http://127.0.0.1:9/simple" }));
  });
});

describe("the choice of a wheel", () => {
  const files = (...names: string[]) => names.map((name) => ({ name, url: name, sha256: "0" }));
  const wheel = (version: string, python = "cp312") => `torch-${version}-${python}-${python}-${PLATFORM}.whl`;

  it("is the newest release of the minor version, of the build that was asked for", async () => {
    const all = files(
      wheel("2.13.0+cpu"),
      wheel("2.13.10+cpu"),
      wheel("2.13.9+cpu"),
      wheel("2.13.11rc1+cpu"),
      wheel("2.14.0+cpu"),
      wheel("2.13.10+cu126"),
      wheel("2.13.10+cu130"),
      wheel("2.13.10"),
    );
    expect(chooseWheel(all, "2.13", "cpu").version).toBe("2.13.10+cpu");
    expect(chooseWheel(all, "2.13", "cu126").version).toBe("2.13.10+cu126");
    expect(chooseWheel(all, "2.13", "cuda").version).toBe("2.13.10+cu130");
    expect(chooseWheel(files(wheel("2.13.0")), "2.13", "cpu").version).toBe("2.13.0");
    await expectCode("ERR_SETUP_NO_WHEEL", async () => chooseWheel(files(wheel("2.13.0")), "2.13", "cu126"));
    await expectCode("ERR_SETUP_NO_WHEEL", async () => chooseWheel(files(wheel("2.1.3+cpu")), "2.13", "cpu"));
  });

  it.each([
    ["manylinux_2_28_x86_64", "linux", "x64", true],
    ["manylinux1_x86_64", "linux", "x64", true],
    ["linux_x86_64", "linux", "x64", true],
    ["musllinux_1_2_x86_64", "linux", "x64", false],
    ["manylinux_2_28_aarch64", "linux", "x64", false],
    ["manylinux_2_28_aarch64", "linux", "arm64", true],
    ["macosx_11_0_arm64", "darwin", "arm64", true],
    ["macosx_11_0_arm64", "darwin", "x64", false],
    ["macosx_10_9_universal2", "darwin", "arm64", true],
    ["win_amd64", "win32", "x64", true],
    ["win_amd64", "linux", "x64", false],
    ["any", "linux", "x64", false],
  ] as const)("%s on %s-%s: %s", (tag, platform, arch, fits) => {
    expect(fitsPlatform(tag, platform, arch)).toBe(fits);
  });

  it("reads names", () => {
    expect(parseWheelName("torch-2.13.0%2Bcu126-cp310-cp310-linux_x86_64.whl")).toEqual({
      version: "2.13.0+cu126",
      variant: "cu126",
      python: "cp310",
      platforms: ["linux_x86_64"],
    });
    expect(parseWheelName("torchvision-0.28.0-cp310-cp310-linux_x86_64.whl")).toBeNull();
    expect(isNeeded("torch/lib/libtorch_cpu.so", false)).toBe(true);
    expect(isNeeded("torch/lib/libc10.a", true)).toBe(false);
    expect(isNeeded("torch.libs/libgomp-1.so", false)).toBe(true);
  });
});

describe("the index", () => {
  const NONE = [
    "TORCHSEARCH_PYTHON_INDEX",
    "npm_config_torchsearch_index",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_CONFIG_FILE",
    "VIRTUAL_ENV",
  ];
  beforeEach(() => {
    for (const name of NONE) vi.stubEnv(name, "");
    vi.stubEnv("HOME", cache);
    vi.stubEnv("XDG_CONFIG_HOME", path.join(cache, "config"));
  });

  it("is what the option, our variable, npm or pip name, in this order", () => {
    const file = path.join(cache, "pip.conf");
    writeFileSync(
      file,
      "[global]\nindex-url = https://e.example/simple/\nextra-index-url =\n    https://f.example/x\n",
    );
    vi.stubEnv("PIP_CONFIG_FILE", file);
    expect(indexSetting(null, "cpu")).toEqual({
      indexes: ["https://e.example/simple", "https://f.example/x"],
      from: file,
    });
    vi.stubEnv("PIP_INDEX_URL", "https://d.example/simple");
    expect(indexSetting(null, "cpu").from).toBe("PIP_INDEX_URL");
    writeFileSync(path.join(cache, ".npmrc"), `torchsearch-index = https://c.example/$\{PLACE}\n`);
    vi.stubEnv("PLACE", "simple");
    expect(indexSetting(null, "cpu").indexes).toEqual(["https://c.example/simple"]);
    vi.stubEnv("npm_config_torchsearch_index", "https://b.example/simple");
    expect(indexSetting(null, "cpu").indexes).toEqual(["https://b.example/simple"]);
    vi.stubEnv("TORCHSEARCH_PYTHON_INDEX", "https://a.example/{variant}/");
    expect(indexSetting(null, "cu126").indexes).toEqual(["https://a.example/cu126"]);
    expect(indexSetting("https://z.example", "cpu")).toEqual({
      indexes: ["https://z.example"],
      from: "--index",
    });
  });

  it("must be set, and be an address over HTTPS", async () => {
    const missing = await expectCode("ERR_SETUP_INDEX", () => run({ index: null }));
    if (!existsSync("/etc/pip.conf")) expect(missing.message).toContain("TORCHSEARCH_PYTHON_INDEX");
    for (const address of ["http://a.example/simple", "file:///tmp", "simple"])
      await expectCode("ERR_SETUP_INDEX", () => run({ index: address }));
    answers["/simple/torch/"] = (_, response) =>
      response.writeHead(302, { location: "http://a.invalid/simple/torch/" }).end();
    await expectCode("ERR_DOWNLOAD", run);
  });
});
