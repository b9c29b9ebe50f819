"""A terminal sees one line that moves, a log sees few lines that stay."""

from __future__ import annotations

import io

import pytest

from agentspec_usage.devcluster.progress import Progress, duration


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        pytest.param(0.2, "0 s", id="less-than-a-second"),
        pytest.param(59.4, "59 s", id="seconds"),
        pytest.param(59.6, "1 min", id="rounds-up-to-a-minute"),
        pytest.param(180.0, "3 min", id="whole-minutes"),
        pytest.param(200.0, "3 min 20 s", id="both"),
    ],
)
def test_a_duration_reads_as_people_say_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_log_gets_a_line_at_the_beginning_each_half_minute_and_at_the_end() -> None:
    stream, clock = io.StringIO(), _Clock()
    progress = Progress(stream, clock=clock)
    progress.begin("building etcd", ", about 20 s")
    for second in range(1, 71):
        clock.now = float(second)
        progress.tick(f"{second} packages compiled")
    progress.end()
    assert stream.getvalue().splitlines() == [
        "building etcd, about 20 s",
        "building etcd: 30 s, 30 packages compiled",
        "building etcd: 1 min, 60 packages compiled",
        "building etcd: done in 1 min 10 s",
    ]


def test_a_terminal_gets_one_line_rewritten_each_second() -> None:
    stream, clock = _Terminal(), _Clock()
    progress = Progress(stream, clock=clock)
    progress.begin("building etcd")
    for tenth in range(1, 31):
        clock.now = tenth / 10
        progress.tick()
    progress.end()
    lines = stream.getvalue().split("\r\x1b[K")[1:]
    assert lines == [
        "building etcd",
        "building etcd: 1 s",
        "building etcd: 2 s",
        "building etcd: 3 s",
        "building etcd: done in 3 s\n",
    ]


def test_waiting_is_said_at_once_with_the_holders_pid_and_only_once() -> None:
    stream, clock = io.StringIO(), _Clock()
    waiting = Progress(stream, clock=clock).waiting_for("builds into /cache")
    for _ in range(20):
        waiting(4711)
    assert stream.getvalue() == "waiting for process 4711, which builds into /cache\n"


def test_nobody_is_told_without_a_stream() -> None:
    progress = Progress(None)
    progress.begin("building etcd")
    progress.tick()
    progress.end()
