"""The free memory, to be checked before large allocations; and how freed memory is kept."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_GROUP, _FILES = Path("/sys/fs/cgroup"), ("max", "current", "stat")
_RESERVE = 2**28  # bytes left for other processes


def free_memory() -> int:
    """Bytes that this process may still allocate, by the limits of the machine and of its control
    group (container); a huge number if unknown."""
    free = [2**62]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError, IndexError):
        if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
            free.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        limit, used, detail = ((_GROUP / f"memory.{name}").read_text() for name in _FILES)
        cached = dict(line.split() for line in detail.splitlines())["inactive_file"]
        free.append(int(limit) - int(used) + int(cached))  # files in memory can be dropped
    except (OSError, ValueError, KeyError):  # no such group, or "max"
        pass
    return max(0, min(free) - _RESERVE)


def keep_memory() -> None:
    """Large blocks that this process frees are used again, on Linux with glibc.

    By default glibc returns each large block to the system, which gives new pages of zeros for the
    next one: half of the time of a network with large activations. To be called in processes of our
    own, whose memory ends with them.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_ARENA_MAX, 1)):
        mallopt(option, value)


_MMAP_MAX, _TRIM_THRESHOLD, _ARENA_MAX = -4, -1, -8  # of malloc.h
