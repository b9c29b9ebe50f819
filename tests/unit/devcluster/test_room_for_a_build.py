"""Too little disk or memory is said before a build, with what was found and what is needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentspec_usage.devcluster import RoomError
from agentspec_usage.devcluster.programs import GoModule, Program
from agentspec_usage.devcluster.room import check_disk, check_memory, free_memory, gib

_GIB = 2**30
_MEMINFO = (
    "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\nSwapFree: 1048576 kB\nHugePages_Total: 0\n"
)


def _program(*, disk: int = 0, memory: int = 0) -> Program:
    return Program("thing", GoModule("thing", "v1.0.0"), ".", 1, disk, memory)


def test_too_little_memory_names_program_need_and_finding() -> None:
    with pytest.raises(RoomError, match=r"thing needs about 3\.0 GiB .* 1\.5 GiB are free"):
        check_memory([_program(memory=3 * _GIB)], found=3 * _GIB // 2)


def test_enough_memory_passes_to_the_byte() -> None:
    check_memory([_program(memory=3 * _GIB)], found=3 * _GIB)


def test_memory_is_needed_one_program_at_a_time() -> None:
    check_memory([_program(memory=3 * _GIB), _program(memory=2 * _GIB)], found=3 * _GIB)


def test_too_little_disk_names_the_place_and_what_is_left(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    too_much = status.f_blocks * status.f_frsize + _GIB
    with pytest.raises(RoomError, match=r"of disk, and .*/not/there/yet is on a filesystem with"):
        check_disk([_program(disk=too_much)], [tmp_path / "not" / "there" / "yet"])


def test_disk_for_several_programs_adds_up(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    half = (status.f_bavail * status.f_frsize) // 2 + _GIB
    check_disk([_program(disk=1)], [tmp_path])
    with pytest.raises(RoomError, match=f"thing, thing needs about {gib(2 * half)}"):
        check_disk([_program(disk=half), _program(disk=half)], [tmp_path])


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        pytest.param({}, 5 * _GIB, id="no-control-group"),
        pytest.param({"memory.max": "max"}, 5 * _GIB, id="no-limit"),
        pytest.param(
            {"memory.max": str(2 * _GIB), "memory.current": str(_GIB)}, _GIB, id="limit-is-less"
        ),
        pytest.param(
            {
                "memory.max": str(2 * _GIB),
                "memory.current": str(2 * _GIB),
                "memory.stat": f"anon 1\ninactive_file {_GIB}",
            },
            _GIB,
            id="what-is-cached-can-be-taken-back",
        ),
        pytest.param(
            {"memory.max": str(64 * _GIB), "memory.current": "0"}, 5 * _GIB, id="limit-is-more"
        ),
    ],
)
def test_free_memory_is_the_machines_or_the_control_groups_if_less(
    group: dict[str, str], expected: int
) -> None:
    assert free_memory(_MEMINFO, group) == expected
