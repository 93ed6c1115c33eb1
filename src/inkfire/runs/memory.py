"""Memory: what a piece of work needed at most, and what goes back to the system between two stages."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PROC = Path("/proc")
FIELDS = ("peak_memory", "peak_engine_memory", "peak_device_memory", "device")
"""What a block may be found to have."""


class Peak:
    """The most memory within a block; blocks may lie within others.

    with Peak() as peak:
        ...
    peak.fields()       # {"peak_memory": 734003200}, in bytes

    ``peak_memory`` is this process's; ``peak_engine_memory`` that of processes it started, as the embedded engine is;
    ``peak_device_memory`` that of torch's tensors on a GPU, and ``device`` its name. Linux forgets an earlier peak when
    it is asked to. Where that is not possible, the peak of the process's life is this block's only if it rose
    meanwhile; else it is not known, and no field says it.
    """

    _open: list[Peak] = []  # noqa: RUF012

    def __enter__(self) -> Self:
        self._most = self._most_of_engine = self._most_of_device = 0
        for outer in Peak._open:
            outer._look()
        Peak._open.append(self)
        self._before = 0 if _forget("self") else _process_peak("self")
        self._unknown = [child for child in _children() if not _forget(child)]
        if (cuda := _cuda()) is not None:
            cuda.reset_peak_memory_stats()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one in Peak._open:
            one._look()
        Peak._open.remove(self)

    def _look(self) -> None:
        if (now := _process_peak("self")) > self._before:
            self._most = max(self._most, now)
        engines = sum(_process_peak(child) for child in _children() if child not in self._unknown)
        self._most_of_engine = max(self._most_of_engine, engines)
        if (cuda := _cuda()) is not None:
            self._most_of_device = max(self._most_of_device, cuda.max_memory_allocated())

    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = {"peak_memory": self._most} if self._most else {}
        if self._most_of_engine:
            found["peak_engine_memory"] = self._most_of_engine
        if self._most_of_device and (cuda := _cuda()) is not None:
            found |= {"peak_device_memory": self._most_of_device, "device": cuda.get_device_name()}
        return found


def _forget(process: str) -> bool:
    """Whether the system counts the peak of a process anew from here."""
    try:
        (_PROC / process / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _process_peak(process: str) -> int:
    """Bytes; 0 where nobody says."""
    with suppress(OSError):
        for line in (_PROC / process / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if process == "self" else 0
    return most if sys.platform == "darwin" else 1024 * most


def _children() -> list[str]:
    """The numbers of the processes that this one started and that still run, where Linux says them."""
    with suppress(OSError):
        return [child for task in (_PROC / "self" / "task").iterdir() for child in _read(task / "children").split()]
    return []


def _read(path: Path) -> str:
    with suppress(OSError):  # a thread that has ended meanwhile
        return path.read_text(encoding="ascii")
    return ""


def _cuda() -> Any:
    """torch's, where it is loaded already and has a GPU at work; nothing is loaded for this."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    return cuda if cuda is not None and cuda.is_available() and cuda.is_initialized() else None


def give_back() -> None:
    """Collect what trainers and models hold in circles, and let the allocator return its free pages.

    Without the second step glibc keeps them for itself: after the SFT of a 135M model 3.4 GB, of which 0.7 are in use.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)
