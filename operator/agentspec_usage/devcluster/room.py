"""Whether the machine has the disk and the memory for a build, asked before it starts.

A linker that runs out of memory is killed without a word, and a full disk shows up as an odd
compiler error four minutes in. Both are cheaper to say first. The needs are those of empty caches;
with full ones a build may do with less, and the message names the way past.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from agentspec_usage.devcluster.errors import RoomError
from agentspec_usage.devcluster.programs import Program

__all__ = ["check_disk", "check_memory", "free_memory", "gib", "read_control_group"]

_CGROUP: Final = Path("/sys/fs/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")


def gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def check_disk(programs: Iterable[Program], places: Iterable[Path]) -> None:
    """``places`` are the directories that grow: our cache and Go's two."""
    programs = tuple(programs)
    needed = sum(program.build_disk_bytes for program in programs)
    for place in places:
        if (found := _free_disk(place)) < needed:
            raise RoomError(
                f"building {_names(programs)} needs about {gib(needed)} of disk, and {place} is on "
                f"a filesystem with {gib(found)} left: free some, or point XDG_CACHE_HOME, GOCACHE "
                "and GOMODCACHE at a larger one. If Go's caches are full already, less may do: "
                "`agentspec-usage devcluster build --ignore-room`."
            )


def check_memory(programs: Iterable[Program], found: int) -> None:
    """``found`` is how many bytes are free, of :func:`free_memory`."""
    programs = tuple(programs)
    needed = max(program.build_memory_bytes for program in programs)
    if found < needed:
        raise RoomError(
            f"building {_names(programs)} needs about {gib(needed)} of memory (linking is the "
            f"peak), and {gib(found)} are free: end other programs or add swap. To try all the "
            "same: "
            "`agentspec-usage devcluster build --ignore-room`."
        )


def free_memory(meminfo: str = "", control_group: Mapping[str, str] | None = None) -> int:
    """Bytes that can still be had: the machine's, or what the control group leaves, if that is
    less.

    The arguments are the kernel's texts; without them it is asked.
    """
    text = meminfo or _MEMINFO.read_text()
    group = read_control_group() if control_group is None else control_group
    kib = {
        name: int(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in text.splitlines())
        if rest
    }
    free = (kib["MemAvailable"] + kib.get("SwapFree", 0)) * 1024
    limit = group.get("memory.max", "max")
    if limit == "max":
        return free
    # Pages of files are given up on demand; what counts is what nobody can take back.
    reclaimable = _field(group.get("memory.stat", ""), "inactive_file")
    return min(free, int(limit) - int(group.get("memory.current", "0")) + reclaimable)


def read_control_group() -> dict[str, str]:
    """The memory files of the control group that this process sees at the root: a container's."""
    return {
        name: (_CGROUP / name).read_text().strip()
        for name in ("memory.max", "memory.current", "memory.stat")
        if (_CGROUP / name).exists()
    }


def _free_disk(path: Path) -> int:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    status = os.statvfs(existing)
    return status.f_bavail * status.f_frsize


def _names(programs: Iterable[Program]) -> str:
    return ", ".join(program.name for program in programs)


def _field(text: str, name: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
