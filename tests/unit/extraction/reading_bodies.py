"""Reading a test body as the proxy would: its request, then its response in pieces."""

from __future__ import annotations

from collections.abc import Iterable

from agentspec_usage.extraction.exchange import ExchangeReader
from agentspec_usage.extraction.request import RequestFacts, read_request
from agentspec_usage.extraction.routing import find_route
from agentspec_usage.extraction.values import Extraction
from tests.fixtures.bodies.body import Body, document

__all__ = ["facts_of", "pieces", "read"]


def facts_of(body: Body) -> RequestFacts:
    """The facts of the request that ``body`` answers."""
    route = find_route(body.provider, body.method, body.path)
    assert route is not None, body.path
    return read_request(route, document(body.request))


def read(
    body: Body,
    answer: Iterable[bytes] | None = None,
    *,
    aborted: bool = False,
    headers: tuple[tuple[str, str], ...] = (),
) -> Extraction:
    """What is read of ``body``, or of ``answer`` in its place."""
    reader = ExchangeReader(facts_of(body), 200, [*body.all_headers, *headers])
    for piece in (body.answer,) if answer is None else answer:
        reader.feed(piece)
    return reader.end(aborted=aborted)


def pieces(data: bytes, size: int) -> list[bytes]:
    """``data`` cut into pieces of ``size`` bytes."""
    return [data[start : start + size] for start in range(0, len(data), size)]
