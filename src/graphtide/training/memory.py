"""Memory that one step frees, kept for the next.

Each step of a training takes and frees the same tens of megabytes. By default the C library gives
such memory back to the operating system, and the next step pays for every page anew.
"""

from __future__ import annotations

import ctypes
import functools
import platform

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_MAP_THRESHOLD = 32 * 2**20  # glibc takes no more


@functools.cache
def keep_freed_memory() -> bool:
    """Have the process keep up to 2 GiB of freed memory; return whether the C library can.

    Only glibc is told (``mallopt``); elsewhere nothing changes. Results are the same either way.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    tell = ctypes.CDLL(None).mallopt
    kept = tell(_TRIM_THRESHOLD, 2**31 - 1)
    return bool(kept and tell(_MAP_THRESHOLD, _LARGEST_MAP_THRESHOLD))
