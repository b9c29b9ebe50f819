"""Senders that know the truth: the shipped outbox of one instance, and a count beside it."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from threading import Event, Thread

import httpx

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.outbox import Outbox
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from agentspec_usage.wire.heartbeat_encoding import encode_heartbeat
from agentspec_usage.wire.records_answer import decode_heartbeat_answer, decode_records_answer
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.integration.controlplane.waiting import until

__all__ = ["Sender", "flush", "sending"]

_MOST_UNSENT = 2000
_MODELS = tuple(SeriesKey("openai", f"gpt-{number}") for number in range(4))


class Sender:
    """One instance of an agent. ``seed`` decides what its calls use, and its id."""

    def __init__(self, url: str, key: str, seed: int) -> None:
        self._random = Random(seed)
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._client = httpx.Client(timeout=5)
        self.instance_id = f"{self._random.getrandbits(128):032x}"
        self.outbox = Outbox(self.instance_id, Observer.SDK, encode_frame)
        self.truth = ZERO
        self._truths = [ZERO]
        self.answers: list[int] = []

    def call(self, times: int = 1) -> None:
        """The agent calls models."""
        for _ in range(times):
            draw = self._random.randrange
            used = draw(1, 5000)
            counts = TokenCounts(
                input=used, output=draw(500), cache_read=draw(used), reasoning=3, calls=1
            )
            self.truth += counts
            self._truths.append(self.truth)
            self.outbox.append(
                UsageRecord(
                    seq=self.outbox.last + 1,
                    at=time.time_ns() // 1_000_000,
                    key=_MODELS[draw(len(_MODELS))],
                    counts=counts,
                    response_id=f"r-{draw(10**9)}",
                )
            )

    def truth_of(self, calls: int) -> TokenCounts:
        """What its first ``calls`` calls used."""
        return self._truths[calls]

    def send_to(self, url: str) -> None:
        """From now on another receiver is sent to."""
        self._url = url

    def body(self) -> bytes | None:
        """What is to be sent now."""
        sealed = self.outbox.to_send()
        return None if sealed is None else encode_records([sealed.body])

    def post(self, body: bytes) -> httpx.Response:
        """Send a body, and do nothing with the answer."""
        return self._client.post(
            f"{self._url}/api/v1/usage/records",
            content=gzip.compress(body, 1),
            headers={**self._headers, "Content-Encoding": "gzip"},
        )

    def step(self) -> bool:
        """Send what is to be sent, once, and take the answer in. Whether all is durable."""
        sealed = self.outbox.to_send()
        if sealed is None:
            return True
        try:
            answer = self.post(encode_records([sealed.body]))
        except httpx.TransportError:
            self.answers.append(0)
            time.sleep(0.02)
            return False
        self.answers.append(answer.status_code)
        if not answer.is_success:
            time.sleep(0.02)
            return False
        try:
            said = decode_records_answer(answer.content)
        except WireError:
            return False
        if self.instance_id in said.gaps:
            self.outbox.stands_at(said.gaps[self.instance_id])
        elif self.instance_id in said.durable:
            self.outbox.acknowledged(sealed, said.durable[self.instance_id])
        return False

    def heartbeat(self) -> int:
        """Say what was counted so far; the answer may tell that the receiver went back in time."""
        snapshot = UsageSnapshot(
            totals=self.truth, instance_id=self.instance_id, observer=Observer.SDK
        )
        body = encode_heartbeat({"status": "healthy"}, {"score": 80}, [snapshot])
        answer = self._client.post(
            f"{self._url}/api/v1/heartbeat", content=body, headers=self._headers
        )
        answer.raise_for_status()
        durable = decode_heartbeat_answer(answer.content).durable
        self.outbox.stands_at(durable)
        return durable

    def close(self) -> None:
        self._client.close()


@contextmanager
def sending(senders: Sequence[Sender]) -> Iterator[None]:
    """All of them call and send at once, until the end of the block."""
    ended = Event()

    def work(sender: Sender) -> None:
        while not ended.is_set():
            # An agent whose control plane is away for long coalesces: that is tested elsewhere.
            if sender.outbox.last - sender.outbox.durable < _MOST_UNSENT:
                sender.call(20)
            sender.step()

    threads = [Thread(target=work, args=(sender,)) for sender in senders]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)


def flush(senders: Sequence[Sender]) -> None:
    """The agents end: everything becomes durable."""
    for sender in senders:
        sender.outbox.finish()
        until(sender.step, "everything that was sent is durable")
        assert sender.outbox.settled
        sender.close()
