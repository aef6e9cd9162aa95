"""Memory: kept with the process when freed, so that large tensors are not paid for page by page again; and its peak.

glibc hands blocks above some MB back to the system when they are freed, and every new one costs a page fault per
4 KB at first touch. Training allocates the same blocks each step; keeping them made it up to a third faster.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tells glibc to reuse freed blocks of any size. Returns whether there was a glibc to tell."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all(mallopt(*option) for option in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26)))


def peak_memory_mb() -> float | None:
    """The largest memory this process has had in RAM, in MB; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
