// The suite `versions`: the sources compile, link and load with the oldest and the newest supported PyTorch. One test a
// version. A version that was built with the same sources before is not built again.
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";

import { compileNative } from "./native.mjs";
import { python } from "./python.mjs";
import { capture, root, SetupError, say, start } from "./run.mjs";

/** The oldest version that the README promises, and the newest that was tried. */
const VERSIONS = ["2.11.0", "2.14.1"];

/** What `libtorch_cpu` of PyTorch's CUDA build links to, of the CUDA that these versions are built with: 14 MB. */
const CUDA_LIBRARIES =
  process.platform === "linux" ? ["nvidia-cuda-runtime==13.0.*", "nvidia-cuda-cupti==13.0.*"] : [];

const builds = path.join(root, ".build");

/** A digest of all that is compiled. */
function digestOfSources() {
  const files = readdirSync(path.join(root, "native"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
    .filter((file) => !file.startsWith(path.join("native", "tests")));
  const digest = createHash("sha256");
  for (const file of [...files.sort(), "CMakeLists.txt"])
    digest
      .update(`${file}\0`)
      .update(readFileSync(path.join(root, file)))
      .update("\0");
  return digest.digest("hex");
}

/** PyTorch's wheel, of which the headers and two libraries are kept: `.build/libtorch-<minor>/torch`, a LibTorch. */
async function fetchLibTorch(version) {
  const folder = path.join(builds, `libtorch-${version.replace(/\.\d+$/, "")}`);
  const record = path.join(folder, "unpacked.txt");
  if (existsSync(record) && readFileSync(record, "utf8") === version) return path.join(folder, "torch");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const wheels = mkdtempSync(path.join(builds, "wheels-"));
  try {
    say(`Downloading PyTorch ${version} (530 MB)`);
    const options = ["--disable-pip-version-check", "--quiet", "--no-deps", "--only-binary=:all:"];
    await start(
      python,
      ["-m", "pip", "download", ...options, "--dest", wheels, `torch==${version}`, ...CUDA_LIBRARIES],
      {
        remedy: `PyTorch ${version} could not be downloaded: check the network and the disk, then try again.`,
      },
    );
    const files = readdirSync(wheels).map((name) => path.join(wheels, name));
    await start(python, [path.join(root, "scripts", "python", "unpack_libtorch.py"), folder, ...files]);
  } finally {
    rmSync(wheels, { recursive: true, force: true });
  }
  writeFileSync(record, version);
  return path.join(folder, "torch");
}

/** Opens an addon as lib/native/load.ts does; gives the version of the LibTorch that it found. */
function loadedVersion(libTorch, addons) {
  const library = (name) =>
    path.join(libTorch, "lib", `lib${name}${process.platform === "darwin" ? ".dylib" : ".so"}`);
  const code = `
    const { openLibrary } = require(${JSON.stringify(path.join(addons, "torchsearch_loader.node"))});
    for (const file of ${JSON.stringify([library("c10"), library("torch_cpu")])}) openLibrary(file);
    process.stdout.write(require(${JSON.stringify(path.join(addons, "torchsearch.node"))}).versions().torch);`;
  return capture(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", 2] });
}

async function check(version) {
  const libTorch = await fetchLibTorch(version);
  const out = path.join(builds, "versions", version);
  const addons = path.join(out, "addons");
  say(`Building for PyTorch ${version}, without optimization: about 2 minutes on two cores`);
  await compileNative({
    out,
    options: {
      TORCHSEARCH_LIBTORCH: libTorch,
      TORCHSEARCH_OUTPUT: addons,
      CMAKE_CXX_FLAGS_RELEASE: "-O0",
    },
  });
  const loaded = loadedVersion(libTorch, addons);
  if (!loaded?.startsWith(version)) throw new SetupError(`The addon for PyTorch ${version} does not load.`);
}

export async function versionsSuite() {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const digest = digestOfSources();
  mkdirSync(path.join(builds, "versions"), { recursive: true });
  for (const version of VERSIONS) {
    const stamp = path.join(builds, "versions", `${version}.sha256`);
    if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest) {
      say(`versions: ${version}: passed before, with the same sources`);
      counts.passed += 1;
      continue;
    }
    const began = performance.now();
    try {
      await check(version);
      writeFileSync(`${stamp}.new`, digest);
      renameSync(`${stamp}.new`, stamp);
      counts.passed += 1;
      say(`versions: ${version}: passed in ${((performance.now() - began) / 1000).toFixed(0)} s`);
    } catch (error) {
      counts.failed += 1;
      say(`versions: ${version}: FAILED: ${error instanceof SetupError ? error.message : error.stack}`);
    }
  }
  return counts;
}
