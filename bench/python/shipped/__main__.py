"""Makes a trained network that a package ships, and data made from what the machine has.

    python -m shipped NAME FOLDER [--seeds 3]
"""

import argparse
import importlib
from pathlib import Path

NETWORKS = {"torchcrepe": "crepe", "silero": "silero", "minilm": "minilm", "lite0": "lite0"}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("network", choices=NETWORKS)
parser.add_argument("folder", type=Path)
parser.add_argument("--seeds", type=int, default=3, help="files of training data")
args = parser.parse_args()
importlib.import_module(f".{NETWORKS[args.network]}", "shipped").make(args.folder, args.seeds)
