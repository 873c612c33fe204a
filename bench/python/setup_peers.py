"""Makes a virtual environment for the peers that benchmarks compare with, on top of the running Python's torch.

    .torch/bin/python bench/python/setup_peers.py [--venv .peers]

The peers' own packages go into the new environment; torch, numpy and the rest are seen through a path file, so nothing big
is installed twice and no peer can bring another build of torch. Does nothing when all peers are there already.
"""

import argparse
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

# ModelOpt imports requests and torchprofile (its older interface) without declaring them.
PEERS = [
    "nvidia-modelopt==0.47.0",
    "requests",
    "torchprofile==0.0.4",
    "torch-pruning==1.6.1",
    # torch.onnx writes files with it, for ONNX Runtime.
    "onnx==1.23.2",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=Path(__file__).resolve().parents[2] / ".peers")
    args = parser.parse_args()
    marker = args.venv / "peers.txt"
    wanted = "\n".join(PEERS)
    if marker.exists() and marker.read_text() == wanted:
        print(f"{args.venv}: the peers are installed already", file=sys.stderr)
        return
    import torch

    subprocess.run([sys.executable, "-m", "venv", args.venv], check=True)
    python = args.venv / "bin" / "python"
    query = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = subprocess.run([python, "-c", query], check=True, capture_output=True, text=True).stdout.strip()
    Path(site, "base.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        # A package that asks for another torch must fail rather than bring a CUDA build of several GB.
        constraints.write(f"torch=={torch.__version__.split('+')[0]}\n")
        constraints.flush()
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", constraints.name, *PEERS]
        subprocess.run(command, check=True)
    check = "import torch, modelopt, torch_pruning; print(torch.__file__)"
    where = subprocess.run([python, "-W", "ignore", "-c", check], check=True, capture_output=True, text=True).stdout.strip()
    if Path(where) != Path(torch.__file__):
        raise SystemExit(f"the peers' environment has a torch of its own at {where}: remove {args.venv} and try again")
    marker.write_text(wanted)
    print(f"{args.venv}: installed {', '.join(PEERS)}", file=sys.stderr)


if __name__ == "__main__":
    main()
