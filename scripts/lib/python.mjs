// The project's own Python environment, `.torch`. LibTorch is the one inside PyTorch's wheel, and tests take their
// expected values from the same PyTorch. A built torchsearch doesn't need it.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { capture, root, SetupError, say, start } from "./run.mjs";

const TORCH = "torch==2.13.0";

/** The packages for pip, by group; each inner list is one call of pip. */
const GROUPS = {
  // LibTorch, and what tests compare with.
  base: [[TORCH, "numpy>=1.26", "safetensors"]],
  // Reference models. torchvision asks for exactly one torch, and its wheel on a machine without CUDA would replace it.
  zoo: [
    ["--no-deps", "torchvision==0.28.0"],
    [TORCH, "pillow"],
  ],
  // More reference models and a second opinion on FLOPs.
  timm: [
    ["--no-deps", "timm==1.0.31", "fvcore"],
    [TORCH, "huggingface_hub", "safetensors", "pyyaml", "iopath", "yacs", "termcolor", "tabulate"],
  ],
  // What trains the committed fixtures.
  fixtures: [["scikit-learn==1.9.1"]],
  lint: [["clang-format==20.1.8"]],
  // CUDA's headers, 3 MB: enough to compile native/cuda, not to run it.
  cuda: [["--no-deps", "nvidia-cuda-runtime==13.5.37", "nvidia-cuda-crt==13.5.37"]],
};

const venv = path.join(root, ".torch");

/** The zoo's own environment, for the packages of scripts/fixtures/zoo_more.json. */
const zooVenv = path.join(root, ".zoo", "venv");

/** Its interpreter. */
export const zooPython = path.join(zooVenv, "bin", "python3");

/** Its packages; each inner list is one call of pip. */
const ZOO_MORE = [
  [TORCH, "numpy>=1.26", "safetensors", "pillow"],
  ["--no-deps", "torchvision==0.28.0", "timm==1.0.31"],
  [TORCH, "transformers==5.24.0"],
  ["--no-deps", "segmentation-models-pytorch==0.6.0", "monai==1.6.1", "ultralytics==8.4.190"],
  [TORCH, "einops", "tqdm", "opencv-python-headless", "psutil", "requests", "matplotlib", "scipy"],
];

/** An environment for the suite `trainers`. */
const trainersVenv = path.join(root, ".zoo", "trainers");

/** Its interpreter. */
export const trainersPython = path.join(trainersVenv, "bin", "python3");

const TRAINERS = [[TORCH, "numpy>=1.26", "lightning==2.6.0", "transformers==5.24.0", "accelerate==1.15.0"]];

/** Packages for the suite `exporters`, beside those of the environment. */
const EXPORTERS = ["onnx==1.23.2", "onnxscript==0.7.2", "onnxruntime==1.32.0"];
const EXPORTERS_NEED = ["onnx_ir==1.1.0", "ml_dtypes==0.6.0", "protobuf==7.36.2", "flatbuffers==25.12.19"];

/** The environment's interpreter. */
export const python = path.join(venv, "bin", "python3");

/** The environment's program called `name`. */
export const pythonTool = (name) => path.join(venv, "bin", name);

/** The folder of the environment's torch, which is a complete LibTorch. */
export function torchRoot() {
  const library = path.join(venv, "lib");
  const found = (existsSync(library) ? readdirSync(library) : [])
    .map((name) => path.join(library, name, "site-packages", "torch"))
    .find((folder) => existsSync(path.join(folder, "include")));
  if (!found)
    throw new SetupError(`There is no torch in ${venv}. Delete that folder and run \`npm run setup\`.`);
  return found;
}

async function createEnvironment(venv) {
  const version = capture("python3", ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
  if (version === undefined) {
    throw new SetupError(
      "python3 was not found. Install Python 3.10 or newer (Debian: apt-get install python3 python3-venv).",
    );
  }
  const [major, minor] = version.split(".").map(Number);
  if (major < 3 || minor < 10)
    throw new SetupError(`Python ${version} is too old: install Python 3.10 or newer.`);
  say(`Making the Python environment ${path.relative(root, venv)} (Python ${version})`);
  await start("python3", ["-m", "venv", venv], {
    remedy:
      "Python's venv module may be missing (Debian: apt-get install python3-venv). Delete that folder and try again.",
  });
}

/** Installs the groups that are missing; `.torch/groups` records the installed ones. */
export async function ensurePython(groups) {
  if (!existsSync(python)) await createEnvironment(venv);
  const stamps = path.join(venv, "groups");
  mkdirSync(stamps, { recursive: true });
  for (const group of groups) {
    const stamp = path.join(stamps, `${group}.json`);
    const wanted = JSON.stringify(GROUPS[group]);
    if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) continue;
    await install(python, GROUPS[group]);
    writeFileSync(stamp, wanted);
  }
}

/** Installs what makes the models of zoo_more.json, unless it is there. */
export const ensureZooPython = () => ensureApart(zooVenv, zooPython, ZOO_MORE);

/** Installs Lightning and transformers' Trainer, unless they are there. */
export const ensureTrainersPython = () => ensureApart(trainersVenv, trainersPython, TRAINERS);

/** A folder with ONNX's packages, for PYTHONPATH: what they need beyond these, the environment has. */
export async function ensureExporters() {
  const folder = path.join(root, ".zoo", "exporters");
  const stamp = path.join(folder, "packages.json");
  const packages = [...EXPORTERS, ...EXPORTERS_NEED];
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === JSON.stringify(packages)) return folder;
  await install(python, [["--no-deps", "--upgrade", "--target", folder, ...packages]]);
  writeFileSync(stamp, JSON.stringify(packages));
  return folder;
}

/** An environment of its own with these packages. */
async function ensureApart(venv, python, packages) {
  const stamp = path.join(venv, "packages.json");
  const wanted = JSON.stringify(packages);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  if (!existsSync(python)) await createEnvironment(venv);
  await install(python, packages);
  writeFileSync(stamp, wanted);
}

async function install(python, calls) {
  for (const packages of calls) {
    say(`Installing for Python: ${packages.join(" ")}`);
    // Python compiles a module when it is first imported. Compiling all of PyTorch takes longer than unpacking it.
    const options = ["--disable-pip-version-check", "--quiet", "--no-compile"];
    await start(python, ["-m", "pip", "install", ...options, ...packages], {
      remedy:
        "Check the network and the disk (PyTorch may need several GB), then run the same command again.",
    });
  }
}
