"""Between two stages: memory that a model held goes back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Collect what trainers and models hold in circles, and let the allocator return its free pages.

    Without the second step glibc keeps them for itself: after the SFT of a 135M model 3.4 GB, of which 0.7 are in use.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)
