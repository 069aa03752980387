"""Runs Python source under the system call filters of a systemd unit: `seccomp_trial.py UNIT SOURCE`.

Restricts system calls, address families and executable memory, as systemd.exec(5) does. Device files, mounts and the
user are not restricted.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

ALLOW = 0x7FFF0000
"""SCMP_ACT_ALLOW, seccomp.h."""
ERRNO = 0x00050000
"""SCMP_ACT_ERRNO with the error number in the lower 16 bits."""
EQUAL, MASKED_EQUAL = 4, 7
EPERM, EAFNOSUPPORT = 1, 97
WRITE, EXECUTE = 2, 4
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_PACKET": 17}
MOST_FAMILIES = 46


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def settings_of(unit: str, name: str) -> list[str]:
    """Return every value of a setting in the unit."""
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{name}=")]


def expanded(name: str) -> set[str]:
    """Expand a set of system calls, such as `@system-service`."""
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    names = {line.strip() for line in listed.stdout.splitlines()[1:] if line.startswith("    ")}
    return {call for inner in names if not inner.startswith("#") for call in expanded(inner)}


def allowed_calls(unit: str) -> set[str]:
    """Return the system calls that the unit allows."""
    allowed = expanded("@default")
    for value in settings_of(unit, "SystemCallFilter"):
        names = {call for name in value.lstrip("~").split() for call in expanded(name)}
        allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed


def restrict(unit: str) -> None:
    """Load the filters of the unit into this process; it cannot be undone."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    allowed = allowed_calls(unit)
    filters = [[ERRNO | EPERM, [(ALLOW, name, ()) for name in sorted(allowed)]]]
    families = {FAMILIES[name] for value in settings_of(unit, "RestrictAddressFamilies") for name in value.split()}
    refused = set(range(MOST_FAMILIES)) - families
    filters.append([ALLOW, [(ERRNO | EAFNOSUPPORT, "socket", (Comparison(0, EQUAL, one, 0),)) for one in refused]])
    if settings_of(unit, "MemoryDenyWriteExecute") == ["yes"]:
        both = Comparison(2, MASKED_EQUAL, WRITE | EXECUTE, WRITE | EXECUTE)
        executable = Comparison(2, MASKED_EQUAL, EXECUTE, EXECUTE)
        calls = (("mmap", both), ("mprotect", executable), ("pkey_mprotect", executable))
        filters.append([ALLOW, [(ERRNO | EPERM, name, (rule,)) for name, rule in calls]])
    contexts = [make_filter(library, *each) for each in reversed(filters)]
    for context in contexts:
        if library.seccomp_load(ctypes.c_void_p(context)) != 0:
            sys.exit("seccomp_load failed")


def make_filter(library: ctypes.CDLL, default: int, rules: list[tuple[int, str, tuple[Comparison, ...]]]) -> int:
    """Make one filter; a system call that this machine does not have is left out."""
    context = library.seccomp_init(ctypes.c_uint32(default))
    for action, name, comparisons in rules:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue
        array = (Comparison * max(1, len(comparisons)))(*comparisons)
        added = library.seccomp_rule_add_array(
            ctypes.c_void_p(context), ctypes.c_uint32(action), number, len(comparisons), array
        )
        if added != 0:
            sys.exit(f"{name}: seccomp_rule_add failed ({os.strerror(-added)})")
    return int(context)


if __name__ == "__main__":
    restrict(Path(sys.argv[1]).read_text(encoding="utf-8"))
    exec(compile(sys.argv[2], "trial", "exec"), {"__name__": "trial"})
