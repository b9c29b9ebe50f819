"""Keepers of a ledger in a directory, their clock, and what SDKs tell them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.pod_ledger import CallEnded, FrameCame
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.ledger.entries import Happened, Opened
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper
from agentspec_usage.sidecar.ledger.state import encode_state
from agentspec_usage.wire.records_encoding import frame_digest
from tests.unit.metering.readings import numbered_id

__all__ = ["BOOT", "SERIES", "ending", "frame_of", "known_to", "numbering", "opened", "opening"]

BOOT = "boot-1"
SERIES = SeriesKey("openai", "gpt")


def numbering() -> Callable[[], str]:
    """Draws instance ids: 1, 2, 3, …"""
    drawn = 0

    def draw() -> str:
        nonlocal drawn
        drawn += 1
        return numbered_id(drawn)

    return draw


def opened(
    directory: Path | None,
    clock: Clock,
    draw_id: Callable[[], str],
    *,
    boot: str = BOOT,
    forwarded: bool = True,
    growth: int = 1 << 30,
) -> LedgerKeeper:
    keeper = LedgerKeeper(directory, boot, clock, draw_id, forwarded=forwarded, growth=growth)
    keeper.open()
    return keeper


def opening(keeper: LedgerKeeper, key: str, call_id: str = "") -> Opened:
    return Opened(key, call_id, SERIES, keeper.now())


def ending(keeper: LedgerKeeper, key: str, record: UsageRecord) -> Happened:
    return Happened(CallEnded(key, record), keeper.now())


def frame_of(keeper: LedgerKeeper, sender: str, *records: UsageRecord) -> Happened:
    """The next frame of an SDK, as far as this ledger knows it."""
    stands = keeper.account.pod.sender(sender)
    totals = stands.totals
    for record in records:
        totals += record.counts
    frame = Frame(
        sender, Observer.SDK, stands.seq, stands.seq + len(records), totals, tuple(records)
    )
    return Happened(FrameCame(frame, frame_digest(frame)), keeper.now())


def known_to(keeper: LedgerKeeper) -> list[bytes]:
    """Everything that a keeper knows, in a form that can be compared."""
    return list(encode_state(keeper.account.state()))
