"""A full disk: traffic goes on, what is not written is counted, and with room it is written."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from agentspec_usage.sidecar.usage_log.log import FILE_NAME, open_usage_log
from tests.fakes.hand_clock import HandClock
from tests.integration.controlplane.filesystems import small_filesystem
from tests.integration.controlplane.waiting import until
from tests.unit.sidecar.control.ports import a_sidecar
from tests.unit.sidecar.proxied import a_call, a_request, an_end

MIB = 1024 * 1024


def test_the_usage_log_drops_counts_and_recovers(tmp_path: Path) -> None:
    with small_filesystem(tmp_path, MIB // 4) as (directory, ballast):
        log = open_usage_log(directory, HandClock(), max_bytes=100 * MIB, kept=1)
        offered = 0

        def offer(count: int) -> None:
            nonlocal offered
            for _ in range(count):
                offered += 1
                call = a_call()
                log.ended(a_request(f"r{offered}"), an_end(call), [call])

        def is_full() -> bool:
            offer(100)
            return log.stats.dropped_disk > 300

        until(is_full, "the disk is full")
        assert log.stats.fault == "No space left on device"
        ballast.unlink()
        before = log.stats.written

        def is_written() -> bool:
            offer(1)
            return log.stats.written > before

        until(is_written, "lines are written again")
        assert log.close()
        stats = log.stats
        lines = (directory / FILE_NAME).read_bytes().splitlines()
        ids = [json.loads(line)["request_id"] for line in lines]  # every line is whole
        assert len(ids) == len(set(ids)) == stats.written
        assert stats.written + stats.dropped_disk + stats.dropped_queue == offered
        assert stats.fault == ""


def fill(directory: Path) -> None:
    """Leave no room for another byte."""
    with (directory / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(4096)):
            pass


def test_a_budget_s_count_is_kept_on_a_disk_that_filled_up(tmp_path: Path) -> None:
    with small_filesystem(tmp_path, MIB // 4) as (directory, _):
        sidecar = a_sidecar(directory, hardTokens=1_000_000)
        sidecar.exchange("before")
        fill(directory)
        sidecar.exchange("on the full disk")
        assert sidecar.budget.facts().fault == ""
        sidecar.close()
        again = a_sidecar(directory, hardTokens=1_000_000)
        assert again.budget.facts().used.requests == 2
        again.close()


def test_a_budget_that_finds_the_disk_full_holds_and_is_kept_when_there_is_room(
    tmp_path: Path,
) -> None:
    with small_filesystem(tmp_path, MIB // 4) as (directory, ballast):
        fill(directory)
        sidecar = a_sidecar(directory, hardTokens=300)
        for number in range(2):
            sidecar.exchange(f"r{number}")
        assert sidecar.budget.facts().fault == "No space left on device"
        assert not sidecar.budget.facts().durable
        ballast.unlink()
        sidecar.exchange("r2")
        assert sidecar.budget.facts().fault == ""
        assert sidecar.budget.admit(a_request("beyond")) is not None
        sidecar.close()
        again = a_sidecar(directory, hardTokens=300)
        assert again.budget.facts().used.requests == 3
        again.close()
