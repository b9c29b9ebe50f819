"""The keeper of the pod's ledger: an entry is in the file before anything that came of it is seen.

Model calls go on whatever the disk does. Where the file takes no more, what the proxy sees is
counted in memory and the ledger says so; frames of SDKs are not taken, because the SDK still has
them. When the disk takes more again, the whole state is written, and everything is kept again.
A process that ends before that leaves a file that is known to lack something, and the next one
begins another instance: what the file has is delivered exactly, what was shown beyond it stays
shown, and nothing is numbered twice.

One loop, no lock: all methods belong to the thread of the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.frame import Frame, SealedFrame
from agentspec_usage.metering.pod_calls import Now
from agentspec_usage.metering.pod_ledger import CallEnded, InstanceEnded, TimePassed
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.calls import LedgerUnavailableError
from agentspec_usage.sidecar.ledger.account import Account
from agentspec_usage.sidecar.ledger.entries import (
    Acknowledged,
    Began,
    CallGivenUp,
    Entry,
    Happened,
    LedgerFileError,
    Sealed,
    decode_entry,
    encode_entry,
)
from agentspec_usage.sidecar.ledger.file import LedgerFile, ReadBack, Replacement
from agentspec_usage.sidecar.ledger.state import decode_state, encode_state
from agentspec_usage.wire.records_encoding import encode_frame

__all__ = ["LedgerKeeper", "replayed"]

logger = logging.getLogger(__name__)

_GROWTH = 4 * 1024 * 1024
"""Bytes by which the file may exceed twice its state before it is written anew: some 10,000 calls,
which a restart reads in less than a second."""

_WAITING_MS = 24 * 60 * 60 * 1000
"""How long a background response may take until its usage is retrieved."""

_MOST_WAITING = 1000

_NO_FILE = "no directory is configured that outlives the process"


class LedgerKeeper:
    """``directory`` is None where nothing outlives the process; ``forwarded`` says whether the
    calls go to a control plane.
    """

    def __init__(
        self,
        directory: Path | None,
        boot: str,
        clock: Clock,
        draw_id: Callable[[], str],
        *,
        forwarded: bool,
        growth: int = _GROWTH,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._draw_id = draw_id
        self._forwarded = forwarded
        self._growth = growth
        self._file = None if directory is None else LedgerFile(directory, boot)
        self.account = Account(self._encode)
        self.fault = _NO_FILE if directory is None else ""
        self.lost_events = 0
        self._steady_ahead = 0
        self._compact_at = 0
        self._meanwhile: list[bytes] | None = None
        self._exchange = asyncio.Lock()
        self._noted: dict[str, tuple[int, bool]] = {}

    @property
    def durable(self) -> bool:
        """Whether what is counted now survives this process."""
        return not self.fault

    @property
    def file_bytes(self) -> int:
        return 0 if self._file is None else self._file.size

    @property
    def unsynced_bytes(self) -> int:
        """Bytes that a crash of the machine may forget."""
        return 0 if self._file is None else self._file.unsynced

    def now(self) -> Now:
        """Both clocks; the steady one goes on where an earlier life of the ledger stood."""
        return Now(int(self._clock.monotonic() * 1000) + self._steady_ahead, self._clock.now())

    def open(self) -> None:
        """Go on where an earlier life stopped, or begin. ``SettingsError`` if another process
        has the directory; any other trouble with it is a ``fault``, and calls go on.
        """
        read = ReadBack()
        if self._file is not None:
            try:
                read = self._file.open()
            except OSError as error:
                self._unusable(error)
        doubt = read.doubt
        try:
            self.account = replayed(read.lines, self._encode)
        except LedgerFileError as error:
            doubt = str(error)
            self._put_aside()
        stood = self.account.pod.state().calls.clock
        if stood is not None:
            self._steady_ahead = max(stood.steady - self.now().steady, 0)
        # Not in the file yet: what follows is part of the state that is written below.
        for entry in self._beginning(doubt):
            self.account.apply(entry)
        self._rewrite()
        logger.info(
            "ledger opened",
            extra={
                "instance": self.account.instance_id,
                "calls": self.account.pod.seq,
                "doubt": doubt,
                "fault": self.fault,
            },
        )

    def write(self, entry: Entry) -> None:
        """``entry`` happened, in the file and then here; here alone where the file takes none.

        Nothing happens in an instance that ended: its end was said.
        """
        if self.account.ended and not isinstance(entry, Began):
            self.lost_events += 1
            return
        self._append(encode_entry(entry))
        self.account.apply(entry)

    def take(self, entries: Iterable[Entry]) -> None:
        """As ``write``, but only what the file takes. Raises ``LedgerUnavailableError``."""
        for entry in entries:
            if not self._append(encode_entry(entry)):
                raise LedgerUnavailableError(self.fault)
            self.account.apply(entry)

    async def tick(self) -> None:
        """Time passes: to be called every few seconds."""
        self.note_acknowledged()
        self.write(Happened(TimePassed(), self.now()))
        self._give_up_waiting()
        if self._file is None:
            return
        if self.fault:
            self._rewrite()
        elif self._file.size > self._compact_at:
            await self._compact()

    def note_acknowledged(self) -> None:
        """Put into the file what the control plane answered since."""
        for instance_id, outbox in list(self.account.outboxes.items()):
            stands = outbox.durable, outbox.final_is_durable
            if stands != self._noted.get(instance_id, (0, False)):
                self._noted[instance_id] = stands
                self._append(encode_entry(Acknowledged(instance_id, *stands)))
        self.account.forget_settled()

    async def sync(self) -> None:
        """Return when everything so far is on the disk, as far as there is one."""
        async with self._exchange:
            if self._file is not None and not self.fault:
                try:
                    await asyncio.to_thread(self._file.sync)
                except OSError as error:
                    self._failed(error)

    def end_instance(self) -> None:
        """This instance counts no more; a later life of the ledger begins another."""
        if not self.account.ended:
            for entry in self._endings():
                self.write(entry)
            self.write(Happened(InstanceEnded(), self.now()))

    def close(self) -> None:
        """Let go of the file, as it is: there is nothing that a killed process would not do."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _beginning(self, doubt: str) -> list[Entry]:
        """What happens when a life of the ledger begins."""
        account, now = self.account, self.now()
        if not account.instance_id:
            return [Began(self._draw_id(), now, self._forwarded)]
        entries: list[Entry] = [] if account.ended else list(self._endings())
        if doubt or account.ended or account.forwarded != self._forwarded:
            if not account.ended:
                entries.append(Happened(InstanceEnded(), now))
            entries.append(Began(self._draw_id(), now, self._forwarded))
        return entries

    def _endings(self) -> Iterable[Entry]:
        """Ends of the calls that are open: nobody is there any more to end them. Those that go on
        at the provider stay open, until their usage is retrieved.
        """
        now = self.now()
        waited_for = {waiting.key for waiting in self.account.pending.values()}
        for key in self.account.pod.open_calls:
            if key not in waited_for:
                yield Happened(CallEnded(key, self._unmetered(key, now)), now)

    def _give_up_waiting(self) -> None:
        """Calls whose usage nobody retrieved count as unmetered."""
        now = self.now()
        pending = list(self.account.pending.items())
        crowd = len(pending) - _MOST_WAITING
        for position, (index, waiting) in enumerate(pending):
            if position < crowd or now.steady - waiting.since >= _WAITING_MS:
                self.write(CallGivenUp(index, self._unmetered(waiting.key, now), now))

    def _unmetered(self, key: str, now: Now) -> UsageRecord:
        """The record of an open call of which nothing more is known."""
        return UsageRecord(
            seq=0,
            at=now.wall,
            key=self.account.opened[key],
            counts=TokenCounts(calls=1, unmetered_calls=1),
            status=CallStatus.UNMETERED,
            request_model=self.account.opened[key].model,
        )

    def _encode(self, frame: Frame) -> bytes:
        """A frame is sealed: its bytes are in the file before they are sent."""
        body = encode_frame(frame)
        self._append(encode_entry(Sealed(SealedFrame(frame, body))))
        return body

    def _append(self, line: bytes) -> bool:
        """Whether the file has it."""
        if self._file is None or self.fault:
            self.lost_events += self._file is not None
            return False
        try:
            self._file.append(line)
        except OSError as error:
            self.lost_events += 1
            self._failed(error)
            return False
        if self._meanwhile is not None:
            self._meanwhile.append(line)
        return True

    def _failed(self, error: OSError) -> None:
        """From now on more is shown than the file has."""
        if self.fault or self._file is None:
            return
        self.fault = f"{error.strerror or type(error).__name__}"
        logger.error(
            "the ledger file takes nothing: counting in memory", extra={"reason": self.fault}
        )
        try:
            self._file.doubt()
        except OSError as again:
            logger.error("the ledger file cannot be marked", extra={"reason": str(again)})

    def _put_aside(self) -> None:
        assert self._file is not None  # it was read
        try:
            self._file.put_aside()
        except OSError as error:
            logger.warning("the ledger file stays where it is", extra={"reason": str(error)})

    def _unusable(self, error: OSError) -> None:
        self.fault = f"{self._directory}: {error.strerror}"
        self._file = None
        logger.error("no ledger file: counting in memory", extra={"reason": self.fault})

    def _rewrite(self) -> None:
        """Write the whole state, at once. What is in it is kept from here on."""
        if self._file is None or self._meanwhile is not None:
            return
        try:
            replacement = self._file.replacement()
            _fill(replacement, encode_state(self.account.state()))
            self._file.replace(replacement)
        except OSError as error:
            self._failed(error)
            return
        if self.fault:
            logger.info("the ledger file is whole again", extra={"lost": self.lost_events})
        self.fault, self.lost_events = "", 0
        self._compact_at = 2 * self._file.size + self._growth

    async def _compact(self) -> None:
        """Write the whole state beside the running program, then what happened meanwhile."""
        assert self._file is not None  # asked by the caller
        lines = encode_state(self.account.state())
        self._meanwhile = []
        try:
            replacement = await asyncio.to_thread(self._written, lines)
            async with self._exchange:
                self._exchange_for(replacement, self._meanwhile)
        except OSError as error:
            # The file as it is goes on taking lines, perhaps.
            logger.warning("the ledger file cannot be written anew", extra={"reason": str(error)})
            self._compact_at = self._file.size + self._growth
        finally:
            self._meanwhile = None

    def _exchange_for(self, replacement: Replacement, meanwhile: Iterable[bytes]) -> None:
        assert self._file is not None  # asked by ``tick``
        try:
            if self.fault:
                # What happened since the disk refused is in neither file.
                raise OSError(self.fault)
            replacement.write(meanwhile)
            self._file.replace(replacement)
        except OSError:
            replacement.abandon()
            raise
        self._compact_at = 2 * replacement.size + self._growth

    def _written(self, lines: Iterable[bytes]) -> Replacement:
        assert self._file is not None  # asked by ``tick``
        replacement = self._file.replacement()
        _fill(replacement, lines)
        return replacement


def _fill(replacement: Replacement, lines: Iterable[bytes]) -> None:
    try:
        replacement.write(lines)
        replacement.sync()
    except OSError:
        replacement.abandon()
        raise


def replayed(lines: Iterable[bytes], encode: Callable[[Frame], bytes]) -> Account:
    """The account after these lines. Raises ``LedgerFileError``."""
    unread = iter(lines)
    first = next(unread, None)
    if first is None:
        return Account(encode)
    account = Account(encode, decode_state(_chain(first, unread)))
    for line in unread:
        account.apply(decode_entry(line))
    return account


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterable[bytes]:
    yield first
    yield from rest
