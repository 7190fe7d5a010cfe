"""The highest memory of this process, for programs that tests start.

`getrusage` won't do: on Linux a new process begins with the peak of the one that started it.
"""

from __future__ import annotations

from pathlib import Path


def peak_kilobytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
