"""Receivers of pushes on loopback: AgentSpec's own, and one that keeps to the project's contract.

Both are real HTTP servers. ``Store`` decodes with the shipped decoders and applies frames by the
shipped rule, in memory; ``Windows`` adds up what it is told, as AgentSpec does.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.frame import Item
from agentspec_usage.metering.receiving import NOTHING, Apply, Intake, Watermark
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.wire.heartbeat import decode_heartbeat
from agentspec_usage.wire.records import decode_records
from agentspec_usage.wire.records_answer import (
    HeartbeatAnswer,
    RecordsAnswer,
    encode_heartbeat_answer,
    encode_records_answer,
)
from agentspec_usage.wire.records_encoding import frame_digest

__all__ = ["Receiver", "Reply", "Store", "Windows", "listening"]

KEY = "agt-secret-key"

Reply = tuple[int, dict[str, str], bytes]


class Receiver(Protocol):
    """What a server does with a POST."""

    def post(self, path: str, key: str, body: bytes) -> Reply: ...


@dataclass
class Log:
    """What came, and a word that another thread waits for."""

    refusals: list[Reply] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    posts: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def refused(self, path: str, key: str) -> Reply | None:
        """The refusal that is due, if one is."""
        with self.changed:
            self.keys.add(key)
            self.posts.append(path)
            self.changed.notify_all()
            return self.refusals.pop(0) if self.refusals else None

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait for ``until``, which is asked again after every post."""
        with self.changed:
            assert self.changed.wait_for(until, 30)

    def notify(self) -> None:
        with self.changed:
            self.changed.notify_all()


class Windows:
    """AgentSpec's own: 204, and what it is told is added up."""

    def __init__(self) -> None:
        self.log = Log()
        self.windows: list[TokenCounts] = []
        self.instances: set[str | None] = set()
        self.health: list[object] = []

    @property
    def total(self) -> TokenCounts:
        return sum_counts(self.windows)

    def post(self, path: str, key: str, body: bytes) -> Reply:
        refusal = self.log.refused(path, key)
        if refusal is not None:
            return refusal
        heartbeat = decode_heartbeat(body)
        assert heartbeat.usage is not None
        (window,) = heartbeat.usage.snapshots
        self.health.append(heartbeat.health)
        self.windows.append(window.totals)
        self.instances.add(window.instance_id)
        self.log.notify()
        return 204, {}, b""


class Store:
    """The project's own: heartbeats are answered with the watermark, frames applied in order."""

    def __init__(self) -> None:
        self.log = Log()
        self.watermarks: dict[str, Watermark] = {}
        self.items: list[TokenCounts] = []
        self.records: list[UsageRecord] = []
        self.beats: list[UsageSnapshot] = []
        self._lock = threading.Lock()

    @property
    def total(self) -> TokenCounts:
        """What is stored."""
        return sum_counts(self.items)

    @property
    def finals(self) -> int:
        """How many instances said their end."""
        return sum(mark.final for mark in self.watermarks.values())

    def post(self, path: str, key: str, body: bytes) -> Reply:
        refusal = self.log.refused(path, key)
        if refusal is not None:
            return refusal
        with self._lock:
            reply = self._heartbeat(body) if path.endswith("/heartbeat") else self._frames(body)
        self.log.notify()
        return reply

    def _heartbeat(self, body: bytes) -> Reply:
        heartbeat = decode_heartbeat(body)
        assert heartbeat.usage is not None
        (snapshot,) = heartbeat.usage.snapshots
        self.beats.append(snapshot)
        mark = self.watermarks.get(snapshot.instance_id or "", NOTHING)
        answer = HeartbeatAnswer(mark.seq, "/api/v1/usage/records")
        return 200, {}, encode_heartbeat_answer(answer)

    def _frames(self, body: bytes) -> Reply:
        intake = Intake(lambda instance: self.watermarks.get(instance, NOTHING))
        applied: list[Item] = []
        missing: list[TokenCounts] = []
        for frame in decode_records(body):
            verdict = intake.offer(frame, frame_digest(frame))
            if isinstance(verdict, Apply):
                applied.extend(frame.items)
                missing.append(verdict.missing)

        def transaction() -> None:
            self.watermarks.update(intake.staged)
            self.records += [item for item in applied if isinstance(item, UsageRecord)]
            self.items += [*(item.counts for item in applied), *missing]

        answers = intake.commit(transaction)
        return 200, {}, encode_records_answer(RecordsAnswer(answers.durable, answers.gaps))


@contextmanager
def listening(receiver: Receiver) -> Iterator[str]:
    """The URL at which ``receiver`` listens."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            key = self.headers.get("authorization", "").removeprefix("Bearer ")
            status, headers, answer = receiver.post(self.path, key, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
