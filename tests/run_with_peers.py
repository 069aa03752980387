#!/usr/bin/env python3
"""Run `train`, `edge-export` or a tool on a machine whose torchvision and torch do not fit each other.

python tests/run_with_peers.py train --data DIR --model unet-resnet50 --no-pretrained --out DIR
"""

import sys
from importlib import import_module
from pathlib import Path
from runpy import run_path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.torchvision_operators import declare_torchvision_operators

COMMANDS = {"train": "train.cli.main", "edge-export": "export.cli"}
TOOLS = ("tools/bench", "tools/good-only-methods")

if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in (*COMMANDS, *TOOLS):
        sys.exit(f"usage: run_with_peers.py {{{'|'.join((*COMMANDS, *TOOLS))}}} ...")
    declare_torchvision_operators()
    sys.argv = sys.argv[1:]
    if command in TOOLS:
        run_path(str(Path(__file__).resolve().parents[1] / command), run_name="__main__")
    else:
        import_module(COMMANDS[command]).main()
