"""Frames of the pod's SDKs: taken into the ledger's file, then answered."""

from __future__ import annotations

import asyncio

from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.pod_ledger import FrameCame
from agentspec_usage.metering.receiving import NOTHING, Apply, Intake
from agentspec_usage.sidecar.calls import LedgerUnavailableError
from agentspec_usage.sidecar.ledger.entries import Entry, Happened
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper
from agentspec_usage.wire.records import decode_records
from agentspec_usage.wire.records_answer import RecordsAnswer
from agentspec_usage.wire.records_encoding import frame_digest

__all__ = ["LedgerFrames"]


class LedgerFrames:
    """The ``FrameIntake`` of the pod's one ledger. ``close`` when the ledger's end is near: what an
    SDK has to say after it, it keeps.
    """

    def __init__(self, keeper: LedgerKeeper) -> None:
        self._keeper = keeper
        self._closed = False

    def close(self) -> None:
        self._closed = True

    async def take(self, body: bytes) -> RecordsAnswer:
        # A full body takes a good part of a tenth of a second: model calls need not wait for it.
        frames = await asyncio.to_thread(_decode, body)
        if self._closed:
            raise LedgerUnavailableError("the sidecar ends")
        if not self._keeper.durable:
            raise LedgerUnavailableError(self._keeper.fault)
        pod = self._keeper.account.pod
        intake = Intake(pod.sender)
        now = self._keeper.now()
        entries: list[Entry] = []
        for frame, digest in frames:
            verdict = intake.offer(frame, digest)
            # Of one that tells nothing new it is enough to know that its sender is there.
            if isinstance(verdict, Apply) or pod.sender(frame.instance_id) == NOTHING:
                entries.append(Happened(FrameCame(frame, digest), now))
        answers = intake.commit(lambda: self._keeper.take(entries))
        return RecordsAnswer(answers.durable, answers.gaps)


def _decode(body: bytes) -> list[tuple[Frame, str]]:
    return [(frame, frame_digest(frame)) for frame in decode_records(body)]
