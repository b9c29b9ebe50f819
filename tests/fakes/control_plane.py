"""A control plane that takes observations: the law of maxima, one price, and faults to order."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType

from agentspec_usage.delivery.sender import NoAnswer, Reply
from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.wire.observed import Observation, decode_observed
from agentspec_usage.wire.observed_answer import (
    AgentSaid,
    CostSaid,
    LedgerSaid,
    ObservedAnswer,
    PeriodSaid,
    encode_observed_answer,
)

__all__ = ["PICO_PER_TOKEN", "FakeControlPlane", "ServedControlPlane"]

PICO_PER_TOKEN = 2_500_000
"""2.50 dollars a million."""

_DAY_MS = 86_400_000

Agent = tuple[str, str]


class FakeControlPlane:
    """The operator's ``ObservationPort``. ``faults`` are answered first, one a request; ``refuses``
    names an agent that makes a body wrong, ``encoding`` how answers over HTTP say that they are
    packed. ``settle`` says that an agent has delivered.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.faults: deque[Reply | NoAnswer] = deque()
        self.away = False
        self.seconds = 0.02
        self.refuses = ""
        self.encoding = ""
        self.bodies: list[tuple[Observation, ...]] = []
        self.cost_centers: dict[Agent, str] = {}
        self.under_way = 0
        self._now = now
        self._reported: dict[Agent, dict[tuple[str, str], TokenCounts]] = defaultdict(dict)
        self._days: dict[Agent, tuple[int, int]] = {}
        self._delivered: dict[Agent, int] = {}

    async def post(self, body: bytes) -> Reply | NoAnswer:
        self.under_way += 1
        assert self.under_way == 1, "more than one request under way"
        await asyncio.sleep(self.seconds)
        self.under_way -= 1
        return self.answer(body)

    async def close(self) -> None:
        """Nothing is open."""

    def answer(self, body: bytes) -> Reply | NoAnswer:
        if self.away:
            return NoAnswer("ClientConnectorError")
        if self.faults:
            return self.faults.popleft()
        try:
            observations = decode_observed(body)
        except WireError:
            return Reply(422)
        if self.refuses in {one.name for one in observations}:
            return Reply(422)
        self.bodies.append(observations)
        for one in observations:
            self._take(one)
        asked = dict.fromkeys((one.namespace, one.name) for one in observations)
        day = self._now() // _DAY_MS
        answer = ObservedAnswer(
            tuple(self._said(agent) for agent in asked if agent in self._reported),
            today_ends=(day + 1) * _DAY_MS,
            month_ends=(day // 30 + 1) * 30 * _DAY_MS,
            ledger=LedgerSaid(len(self.bodies), f"{len(self.bodies):064x}", "key-1", self._now()),
        )
        return Reply(200, encode_observed_answer(answer))

    def settle(self, agent: Agent) -> None:
        """Everything that was reported has arrived by frames: the cost is exact."""
        self._delivered[agent] = self.tokens(agent)

    def forget(self) -> None:
        """It was restored from a backup of before anything was reported."""
        self._reported.clear()

    def tokens(self, agent: Agent) -> int:
        """What the agent was seen to use."""
        return sum_counts(self._reported[agent].values()).total

    def _take(self, one: Observation) -> None:
        agent = (one.namespace, one.name)
        self.cost_centers[agent] = one.cost_center
        if one.reading is None:
            return
        for snapshot in one.reading.snapshots:
            assert snapshot.via is None
            window = f"{one.container}@{snapshot.window_started_at}"
            key = (one.pod_uid, snapshot.instance_id or window)
            known = self._reported[agent].get(key, ZERO)
            self._reported[agent][key] = known.join(snapshot.totals)

    def _said(self, agent: Agent) -> AgentSaid:
        tokens, day = self.tokens(agent), self._now() // _DAY_MS
        first_day, at_its_start = self._days.get(agent, (day, 0))
        if first_day != day:
            at_its_start = tokens
        self._days[agent] = (day, at_its_start)
        tail = tokens - self._delivered.get(agent, 0)
        return AgentSaid(
            *agent,
            today=_period(tokens - at_its_start, tail),
            month=_period(tokens, tail),
            cost=_period(tokens, tail).cost,
            tail_tokens=tail,
            tail_calls=min(tail, 1),
        )


def _period(tokens: int, tail: int) -> PeriodSaid:
    if not tokens:
        return PeriodSaid()
    pico = tokens * PICO_PER_TOKEN
    return PeriodSaid(tokens, CostSaid("Estimated" if tail else "Exact", pico, "USD"))


class ServedControlPlane:
    """A ``FakeControlPlane`` over real HTTP on loopback. Use it in ``with``."""

    def __init__(self, plane: FakeControlPlane) -> None:
        self.plane = plane
        self.authorizations: list[str] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                served._answer(self)

            def log_message(self, template: str, *arguments: object) -> None:
                """Nothing is written."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ServedControlPlane:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        self.authorizations.append(request.headers.get("authorization", ""))
        known = request.path == "/api/v1/usage/observed"
        reply = self.plane.answer(body) if known else Reply(404)
        if isinstance(reply, NoAnswer):
            request.close_connection = True
            return
        request.send_response(reply.status)
        if reply.retry_after is not None:
            request.send_header("retry-after", f"{reply.retry_after:.0f}")
        if self.plane.encoding:
            request.send_header("content-encoding", self.plane.encoding)
        request.send_header("content-length", str(len(reply.body)))
        request.end_headers()
        request.wfile.write(reply.body)
