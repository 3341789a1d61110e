"""What the benchmarks measure with: wall time, and the kernel's own high-water mark of memory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from deploy.stack.stack import Stack

Result = TypeVar("Result")


def timed(name: str, work: Callable[[], Result]) -> Result:
    """What `work` returns; prints its wall time."""
    began = time.perf_counter()
    result = work()
    print(f"{name:58} {time.perf_counter() - began:8.2f} s", flush=True)
    return result


def peak_memories(stack: Stack) -> dict[str, int]:
    """The largest resident size of each service process so far, in bytes."""
    return {name: peak_memory(service.pid) for name, service in stack.services.items()}


def peak_memory(pid: int) -> int:
    """The largest resident size of a process since its start or the last `forget_peak`, in bytes (VmHWM)."""
    return _status(pid, "VmHWM")


def present_memory(pid: int) -> int:
    """Its resident size now, in bytes (VmRSS)."""
    return _status(pid, "VmRSS")


def forget_peak(pid: int) -> None:
    """The high-water mark is the present size again (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def _status(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(name))
