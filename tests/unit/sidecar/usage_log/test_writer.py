"""The writer takes lines at once, drops what does not fit, and loses nothing that it took."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest

from agentspec_usage.sidecar.usage_log.file import RotatedFile
from agentspec_usage.sidecar.usage_log.writer import LogStats, LogWriter
from tests.integration.controlplane.waiting import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def writer_of(path: Path, queue_lines: int = 1000) -> LogWriter:
    return LogWriter(RotatedFile(path, 10**9, 1), queue_lines)


def test_everything_taken_from_several_threads_is_in_the_file_when_it_is_closed(
    path: Path,
) -> None:
    writer = writer_of(path, queue_lines=10_000)
    writer.start()

    def offer(name: int) -> None:
        for number in range(500):
            writer.offer(b"%d %d\n" % (name, number))

    threads = [Thread(target=offer, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.close(10)
    lines = path.read_bytes().splitlines()
    for name in range(4):
        own = [line for line in lines if line.startswith(b"%d " % name)]
        assert own == [b"%d %d" % (name, number) for number in range(500)]
    assert writer.stats == LogStats(written=2000)


def test_a_full_queue_drops_and_counts(path: Path) -> None:
    writer = writer_of(path, queue_lines=3)
    for number in range(5):
        writer.offer(b"%d\n" % number)
    writer.start()
    assert writer.close(10)
    writer.offer(b"too late\n")
    assert path.read_bytes() == b"0\n1\n2\n"
    assert writer.stats == LogStats(written=3, dropped_queue=3)


class HangingFile:
    """A ``LineFile`` on a disk that answers when it is told to."""

    def __init__(self) -> None:
        self.answers = Event()
        self.lines = b""

    def write(self, lines: bytes) -> int:
        assert self.answers.wait(30)
        self.lines += lines
        return len(lines)

    def sync(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def test_a_disk_that_hangs_holds_nobody_up_and_loses_nothing_taken() -> None:
    file = HangingFile()
    writer = LogWriter(file, 2)
    writer.start()
    offered = 0
    while not writer.stats.dropped_queue:
        writer.offer(b"%d\n" % offered)
        offered += 1
    assert not writer.close(0.01)
    file.answers.set()
    assert writer.close(10)
    assert file.lines.splitlines() == [b"%d" % number for number in range(offered - 1)]


def test_a_disk_that_refuses_is_counted_and_tried_again(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.write_bytes(b"in the way")
    writer = writer_of(directory / "log")
    writer.start()
    writer.offer(b"lost\n")
    until(lambda: writer.stats.dropped_disk, "the disk refused")
    assert writer.stats == LogStats(dropped_disk=1, fault="File exists")
    directory.unlink()
    writer.offer(b"kept\n")
    assert writer.close(10)
    assert (directory / "log").read_bytes() == b"kept\n"
    assert writer.stats == LogStats(written=1, dropped_disk=1)
