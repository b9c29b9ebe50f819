"""The file has whole lines, whatever happens, and is rotated by size."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspec_usage.sidecar.usage_log.file import RotatedFile


def contents(path: Path) -> dict[str, bytes]:
    return {found.name: found.read_bytes() for found in sorted(path.parent.iterdir())}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "l"


def test_a_file_that_would_grow_too_large_is_rotated_and_the_oldest_is_forgotten(
    path: Path,
) -> None:
    file = RotatedFile(path, max_bytes=8, kept=2)
    for number in range(7):
        file.write(b"%d..\n" % number)
    file.close()
    assert contents(path) == {"l": b"6..\n", "l.1": b"4..\n5..\n", "l.2": b"2..\n3..\n"}


def test_nothing_is_kept_where_nothing_shall_be(path: Path) -> None:
    file = RotatedFile(path, max_bytes=4, kept=0)
    file.write(b"1..\n")
    file.write(b"2..\n")
    assert contents(path) == {"l": b"2..\n"}


def test_lines_larger_than_the_bound_are_written_to_a_file_of_their_own(path: Path) -> None:
    file = RotatedFile(path, max_bytes=4, kept=1)
    file.write(b"longer than that\n")
    file.write(b"2\n")
    assert contents(path) == {"l": b"2\n", "l.1": b"longer than that\n"}


def test_another_process_goes_on_with_the_file_and_its_size(path: Path) -> None:
    RotatedFile(path, max_bytes=8, kept=1).write(b"1..\n")
    file = RotatedFile(path, max_bytes=8, kept=1)
    file.write(b"2..\n")
    assert contents(path) == {"l": b"1..\n2..\n"}
    file.write(b"3..\n")
    assert contents(path) == {"l": b"3..\n", "l.1": b"1..\n2..\n"}


@pytest.mark.parametrize("torn", [b'{"a"', b"x" * 100_000], ids=["a part", "longer than a line"])
def test_the_torn_line_of_a_killed_process_is_cut(path: Path, torn: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(b"whole\n" + torn)
    RotatedFile(path, max_bytes=1_000_000, kept=1).write(b"next\n")
    lines = path.read_bytes().splitlines()
    assert lines[-1] == b"next"
    assert torn not in lines


def test_a_directory_that_appears_later_is_used_then(tmp_path: Path) -> None:
    (tmp_path / "logs").write_bytes(b"in the way")
    file = RotatedFile(tmp_path / "logs" / "l", max_bytes=8, kept=1)
    with pytest.raises(OSError, match="exists"):
        file.write(b"1\n")
    (tmp_path / "logs").unlink()
    assert file.write(b"2\n") == 2
    assert (tmp_path / "logs" / "l").read_bytes() == b"2\n"
