"""Keep freed memory in the process; each training step allocates it again.

By default glibc returns freed blocks of some megabytes to the system, so every training step on a CPU pays for the
page faults again: a fifth of its time (`tools/bench-train --threads 1`).
"""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt in glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Configure glibc's allocator; returns False for another allocator, which is left unchanged."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_MMAP_THRESHOLD, 1 << 30), (_TRIM_THRESHOLD, (1 << 31) - 1), (_TOP_PAD, 1 << 28))
    return min(int(mallopt(name, size)) for name, size in wanted) == 1
