"""Memory that is freed stays with the process, for the next step of training takes as much again.

By default glibc hands blocks of some megabytes back to the system when they are freed. Every step of training on a
processor then pays for the same pages once more: a fifth of its time (`tools/bench-train --threads 1`).
"""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""The names of mallopt's parameters in glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Tell the allocator so; False where it is not glibc's, and nothing changes."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_MMAP_THRESHOLD, 1 << 30), (_TRIM_THRESHOLD, (1 << 31) - 1), (_TOP_PAD, 1 << 28))
    return min(int(mallopt(name, size)) for name, size in wanted) == 1
