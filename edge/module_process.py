"""Command line of a child process that runs a module of the project, whatever lies in the current folder."""

import sys


def module_command(module: str, *arguments: str) -> list[str]:
    """Run `module` as `python -m` does, with the search path of this process.

    `python -m` looks in the current folder first, where an `edge.py` of the user would take the place of the package.
    """
    places = [place for place in sys.path if place]
    code = f"import sys; sys.path[:] = {places!r}; import runpy; runpy.run_module({module!r}, {{}}, '__main__', True)"
    return [sys.executable, "-c", code, *arguments]
