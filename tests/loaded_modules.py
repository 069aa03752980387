"""Modules that a command loads, seen in a process of its own."""

import subprocess
import sys
from collections.abc import Sequence


def loaded_by_help(module: str, arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those of `names` that are loaded after `module.main(arguments)`, which prints a help text."""
    code = (
        f"import sys, {module}\n"
        f"try: {module}.main({list(arguments)})\n"
        f"finally: print(*[name for name in {list(names)} if name in sys.modules], sep=',')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    *told, loaded = found.stdout.splitlines()
    assert "Usage" in "\n".join(told)
    return loaded.split(",") if loaded else []
