"""One request and its answer: from a client to an upstream and back, told to the meter.

In order: the body is held back where the call is metered (its model, its limits and whether it asks
for usage stand in it), the meter is asked, a connection is taken or made, the request is sent, the
answer is passed on as it comes while a copy is read. Whatever ends it ends in ``_over``, once.

Backpressure is the sockets': a client that does not read stops the reading from its upstream, an
upstream that does not read stops the reading from its client. What is sent once is not sent again,
with two exceptions: a request without effects whose kept connection turned out to be dead, and one
that was refused for the question after usage that was put into it here.
"""

from __future__ import annotations

import asyncio

from agentspec_usage.sidecar.calls import EndedBy, Refusal
from agentspec_usage.sidecar.proxy.answer import Answer, HeldAnswer
from agentspec_usage.sidecar.proxy.bodies import FramingKind
from agentspec_usage.sidecar.proxy.client_side import ClientSide
from agentspec_usage.sidecar.proxy.forwarding import response_bytes
from agentspec_usage.sidecar.proxy.heads import MessageError, RequestHead, ResponseHead
from agentspec_usage.sidecar.proxy.messages import End
from agentspec_usage.sidecar.proxy.outgoing import HeldBody, Outgoing
from agentspec_usage.sidecar.proxy.parts import ProxyParts
from agentspec_usage.sidecar.proxy.refusals import (
    BROKEN_OFF,
    GARBLED,
    SHUTTING_DOWN,
    SILENT,
    UNREACHABLE,
    refusal_bytes,
)
from agentspec_usage.sidecar.proxy.routing import Destination
from agentspec_usage.sidecar.proxy.tunnel import Tunnel
from agentspec_usage.sidecar.proxy.upstream_connection import UpstreamConnection
from agentspec_usage.sidecar.proxy.usage_asking import (
    blames_asking,
    chunk_removal,
    may_be_refused,
)
from agentspec_usage.sidecar.proxy.watch import Watch

__all__ = ["Exchange"]

_MOST_UNSENT = 64 * 1024
_MOST_INTERIM = 16


class Exchange:
    """Made when a request's head came. The client's connection tells of the request, the
    upstream's of the answer, the server of the time.
    """

    def __init__(
        self,
        parts: ProxyParts,
        client: ClientSide,
        head: RequestHead,
        there: Destination,
        *,
        upgrade: bool,
    ) -> None:
        self._parts = parts
        self._decoders = parts.metering.decoders
        self._client: ClientSide | None = client
        self._head = head
        self._there = there
        self._upgrade = upgrade
        self._watch = Watch(parts.metering, head, there)
        self._id = self._watch.key.encode("ascii")
        self._outgoing = Outgoing(head, there, upgrade=upgrade)
        self._held: HeldBody | None = None
        if self._watch.metered and not upgrade:
            self._held = HeldBody(parts.room, parts.settings.limits.held_body)
        self._upstream: UpstreamConnection | None = None
        self._sent = False
        self._interim = 0
        self._held_answer: HeldAnswer | None = None
        self._answer: Answer | None = None
        self._copies: list[bytes] = []
        self._ended: End | None = None
        self._client_is_full = False
        self._upstream_is_full = False
        self._drain_until: float | None = None
        self._heard = 0.0
        self._closes = False
        self._done = False

    # What the client's connection tells.

    def start(self) -> None:
        """The head came."""
        if self._held is None:
            self._go(b"", None)

    def request_data(self, data: bytes) -> None:
        self._watch.request_bytes += len(data)
        if self._done:
            return
        if self._held is not None:
            if not self._held.add(data):
                self._go(self._take_held(), None)
        elif self._upstream is not None:
            self._heard = self._now()
            self._upstream.send(self._outgoing.piece(data))
        else:
            self._outgoing.add(data)
            if len(self._outgoing.opening) > _MOST_UNSENT and self._client is not None:
                self._client.hold_reading()

    def request_end(self, end: End) -> None:
        if self._done:
            return
        if self._held is not None:
            self._go(self._take_held(), end)
        elif self._upstream is not None:
            self._upstream.send(self._outgoing.end(end))
        else:
            self._outgoing.add_end(end)

    def client_gone(self) -> None:
        """The client went away, or broke the protocol."""
        self._client = None
        self._client_is_full = False
        if self._done:
            return
        seconds = self._parts.settings.drain_abandoned_seconds
        if seconds and self._upstream is not None and self._can_be_drained:
            self._drain_until = self._now() + seconds
            self._parts.abandoned.add(self)
            self._upstream.go_on_reading()
        else:
            self._over(EndedBy.CLIENT)

    def client_full(self, full: bool) -> None:
        self._client_is_full = full
        self._heard = self._now()
        if self._upstream is not None:
            if full:
                self._upstream.hold_reading()
            else:
                self._upstream.go_on_reading()

    @property
    def _can_be_drained(self) -> bool:
        """Whether the upstream goes on without the client, to an answer that shows usage."""
        return self._outgoing.whole and self._watch.facts is not None

    @property
    def answering(self) -> bool:
        """Whether the client has got any of the answer."""
        return self._answer is not None

    # What the upstream's connection tells.

    def answer_head(self, head: ResponseHead) -> None:
        self._heard = self._now()
        if head.status == 101:
            self._switch(head)
        elif head.status < 200:
            self._pass_interim(head)
        elif self._outgoing.original is not None and may_be_refused(head):
            self._held_answer = HeldAnswer(head, self._parts.settings.limits.refused_answer)
        else:
            self._begin_answer(head)

    def answer_data(self, data: bytes) -> None:
        self._heard = self._now()
        if self._held_answer is not None:
            if not self._held_answer.add(data):
                self._release()
        elif self._answer is not None:
            piece = self._answer.piece(data)
            if self._client is not None and piece:
                self._client.send(piece)
            self._copies.append(data)

    def answer_end(self, end: End) -> None:
        held = self._held_answer
        if held is not None:
            if self._client is not None and blames_asking(held.head, held.body, self._decoders):
                self._ask_again()
                return
            self._release()
        if self._answer is not None and self._client is not None:
            self._client.send(self._answer.end(end.trailers))
        self._ended = end

    def upstream_said(self) -> None:
        """The client gets what came before the copy of it is read; but not the last of it."""
        if self._done:
            return
        if self._ended is not None:
            self._over(EndedBy.UPSTREAM if self._client is not None else EndedBy.CLIENT)
            return
        if self._client is not None:
            self._client.flush()
        copies, self._copies = self._copies, []
        for data in copies:
            self._watch.feed(data)

    def upstream_garbled(self) -> None:
        self._give_up(EndedBy.UPSTREAM_ABORT, GARBLED)

    def upstream_gone(self) -> None:
        lost, self._upstream = self._upstream, None
        if lost is not None and lost.reused and lost.silent and self._outgoing.repeatable:
            self._connect()
            return
        self._give_up(EndedBy.UPSTREAM_ABORT, BROKEN_OFF)

    def upstream_full(self, full: bool) -> None:
        self._upstream_is_full = full
        self._heard = self._now()
        if self._client is not None:
            if full:
                self._client.hold_reading()
            else:
                self._client.go_on_reading()

    # What the server tells.

    def check(self, now: float) -> None:
        if self._drain_until is not None and now > self._drain_until:
            self._over(EndedBy.CLIENT)
        elif (
            self._upstream is not None
            and (self._outgoing.whole or self._upstream_is_full)
            and not self._client_is_full
            and now - self._heard > self._there.upstream.timeout_seconds
        ):
            self._give_up(EndedBy.TIMEOUT, SILENT)

    def cut(self) -> None:
        self._give_up(EndedBy.SHUTDOWN, SHUTTING_DOWN)

    # From the request to the upstream.

    def _go(self, body: bytes, end: End | None) -> None:
        """The meter is asked, and the request begins; it is whole if there is an ``end``."""
        refusal = self._watch.begin(body)
        if refusal is not None:
            self._refuse(refusal)
            self._over(EndedBy.REFUSED)
            return
        upstream, facts = self._there.upstream, self._watch.facts
        asking = None
        if end is not None:
            asking = self._parts.asking.asking(upstream, facts, self._head, body)
        if asking is None:
            self._outgoing.open(body, self._id, end)
        else:
            self._watch.injected = True
            self._outgoing.open(asking, self._id, end, original=body)
        self._connect()

    def _take_held(self) -> bytes:
        held, self._held = self._held, None
        return b"" if held is None else held.take()

    def _connect(self) -> None:
        connection = self._parts.pool.take(self._there.origin)
        if connection is not None:
            self._attach(connection)
        else:
            task = asyncio.get_running_loop().create_task(self._connected())
            self._parts.connecting.add(task)
            task.add_done_callback(self._parts.connecting.discard)

    async def _connected(self) -> None:
        try:
            connection = await self._parts.pool.connect(self._there.origin)
        except OSError:
            self._give_up(EndedBy.UNREACHABLE, UNREACHABLE)
            return
        if self._done:
            self._parts.pool.give(connection)
        else:
            self._attach(connection)

    def _attach(self, connection: UpstreamConnection) -> None:
        self._upstream = connection
        self._heard = self._now()
        self._sent = True
        connection.carry(self, self._head.method)
        connection.send(self._outgoing.opening)
        self._outgoing.opened()
        if self._client_is_full:
            connection.hold_reading()
        if self._client is not None and not self._outgoing.whole:
            self._client.go_on_reading()

    # From the answer to the client.

    def _begin_answer(self, head: ResponseHead) -> None:
        close = self._client is None or self._client.closes_after
        removal = chunk_removal(head, self._decoders) if self._watch.injected else None
        self._outgoing.original = None
        self._answer = Answer(self._head, head, removal, close=close)
        self._watch.answered(head)
        if self._client is not None:
            self._client.send(self._answer.head(self._id))

    def _pass_interim(self, head: ResponseHead) -> None:
        self._interim += 1
        if self._interim > _MOST_INTERIM:
            raise MessageError("too many interim answers", 502)
        if head.status != 100 and self._head.minor and self._client is not None:
            self._client.send(response_bytes(head, FramingKind.NONE, self._id, close=False))

    def _ask_again(self) -> None:
        """The request as the client wrote it, on another connection."""
        original, facts = self._outgoing.original, self._watch.facts
        assert original is not None
        assert facts is not None
        self._parts.asking.refused(self._there.upstream, facts)
        self._held_answer = None
        self._watch.injected = False
        self._leave_upstream(reusable=True)
        self._outgoing.open(original, self._id, End())
        self._connect()

    def _release(self) -> None:
        held, self._held_answer = self._held_answer, None
        if held is not None:
            self._begin_answer(held.head)
            for piece in held.pieces:
                self.answer_data(piece)

    def _switch(self, head: ResponseHead) -> None:
        if not self._upgrade or self._client is None or self._upstream is None:
            raise MessageError("the upstream switches protocols unasked", 502)
        self._done = True
        self._client.send(response_bytes(head, FramingKind.NONE, self._id, close=False))
        tunnel = Tunnel(self._parts, self._watch, self._client, self._upstream, head)
        tunnel.start()

    # The end.

    def _give_up(self, ended_by: EndedBy, why: Refusal) -> None:
        """No whole answer comes: the client is told, or sees it break off."""
        if self._done:
            return
        if self._answer is None:
            self._refuse(why)
        self._over(ended_by)

    def _refuse(self, why: Refusal) -> None:
        """An answer of our own."""
        if self._client is None:
            return
        self._closes = self._client.closes_after
        self._client.send(
            refusal_bytes(
                why,
                request_id=self._watch.key,
                close=self._closes,
                head_only=self._head.method == b"HEAD",
            )
        )

    def _over(self, ended_by: EndedBy) -> None:
        """Once: lets go of both sides and tells the meter, before the client has the last bytes:
        a call whose whole answer somebody has is in the ledger, whenever the process is killed.
        """
        if self._done:
            return
        self._done = True
        whole = self._ended is not None
        self._parts.finished(self)
        self._take_held()
        self._leave_upstream(reusable=whole and self._outgoing.whole)
        client, self._client = self._client, None
        for data in self._copies:
            self._watch.feed(data)
        self._watch.end(ended_by, whole=whole, sent=self._sent)
        if client is None:
            return
        client.flush()
        if self._answer is None:
            client.answered(close=self._closes)
        elif whole:
            client.answered(close=self._answer.closes)
        else:
            client.broken_off(clean_end_misleads=self._answer.until_close)

    def _leave_upstream(self, *, reusable: bool) -> None:
        connection, self._upstream = self._upstream, None
        if connection is None:
            return
        if reusable:
            connection.go_on_reading()
            self._parts.pool.give(connection)
        else:
            connection.abort()

    def _now(self) -> float:
        return self._parts.metering.clock.monotonic()
