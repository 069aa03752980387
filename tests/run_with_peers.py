#!/usr/bin/env python3
"""Run `train` or `edge-export` with the peers on a machine whose torchvision and torch do not fit each other.

python tests/run_with_peers.py train --data DIR --model unet-resnet50 --no-pretrained --out DIR
"""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.torchvision_operators import declare_torchvision_operators

COMMANDS = {"train": "train.cli.main", "edge-export": "export.cli"}

if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in COMMANDS:
        sys.exit(f"usage: run_with_peers.py {{{'|'.join(COMMANDS)}}} ...")
    declare_torchvision_operators()
    sys.argv = sys.argv[1:]
    import_module(COMMANDS[command]).main()
