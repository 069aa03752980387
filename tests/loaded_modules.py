"""Modules that a command loads, seen in a process of its own."""

import subprocess
import sys
from collections.abc import Sequence


def loaded_by_help(module: str, arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those of `names` that are loaded after `module.main(arguments)`, which prints a help text."""
    told, loaded = loaded_by(module, arguments, names)
    assert "Usage" in told
    return loaded


def loaded_by(module: str, arguments: Sequence[str], names: Sequence[str]) -> tuple[str, list[str]]:
    """Output of `module.main(arguments)`, which ends in any way, and those of `names` that are loaded then."""
    code = (
        f"import sys, {module}\n"
        f"try: {module}.main({list(arguments)})\n"
        f"except SystemExit as end: print(end)\n"
        f"print(*[name for name in {list(names)} if name in sys.modules], sep=',')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    *told, loaded = found.stdout.splitlines()
    return "\n".join(told), loaded.split(",") if loaded else []
