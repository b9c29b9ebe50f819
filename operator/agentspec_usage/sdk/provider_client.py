"""Metering a provider's own client, in place: the host keeps its object, its types, its exceptions.

The OpenAI and Anthropic clients are made alike: every call goes through ``client.request``, with
options that name the path and carry a ``post_parser``, which sees each parsed response and stream.
So one method of one object is wrapped, and its helpers (``parse``, ``stream``, raw responses) are
metered with it, as are the copies that ``with_options`` makes.

A stream stays the client's own stream object; only what it iterates over passes through here. Where
the host did not ask OpenAI's chat for usage in a stream, it is asked for, and the extra chunk that
answers is taken out again.

Wrapping a client twice changes nothing: the first ledger keeps it.
"""

from __future__ import annotations

import asyncio
import copy
import json
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from agentspec_usage.extraction.fields import field
from agentspec_usage.extraction.routing import find_route
from agentspec_usage.extraction.surface import Surface
from agentspec_usage.sdk.calls import Call, Retrieval
from agentspec_usage.sdk.ledger import UsageLedger
from agentspec_usage.sdk.shield import shielded

__all__ = ["CALL_ID_HEADER", "instrument_anthropic", "instrument_openai"]

CALL_ID_HEADER = "x-agentspec-call-id"

_MARK = "_agentspec_usage_metering"

Client = TypeVar("Client")


@dataclass(frozen=True, slots=True)
class _Metering:
    """What a wrapped client is metered with."""

    ledger: UsageLedger
    provider: str
    include_stream_usage: bool

    def begin(self, options: Any) -> tuple[Call, Any] | None:
        """The call that ``options`` ask for, and the options to ask it with."""
        route = find_route(self.provider, str(options.method).upper(), str(options.url))
        if route is None or route.websocket:
            return None
        surface = route.surface
        body = options.json_data if isinstance(options.json_data, Mapping) else {}
        model = body.get("model")
        kind = Retrieval if route.retrieval else Call
        call = kind(
            self.ledger,
            self.provider,
            surface,
            model if isinstance(model, str) else "",
            background=body.get("background") is True,
        )
        options = copy.copy(options)
        if not route.retrieval:
            headers = options.headers if isinstance(options.headers, Mapping) else {}
            options.headers = {**headers, CALL_ID_HEADER: call.call_id}
        hides_usage = self._ask_for_usage(options, surface, body)
        parser = options.post_parser
        options.post_parser = _parser(call, hides_usage, parser if callable(parser) else None)
        return call, options

    def _ask_for_usage(self, options: Any, surface: Surface, body: Mapping[str, Any]) -> bool:
        """Whether usage had to be asked for, so that the chunk with it is nobody else's."""
        wanted = body.get("stream_options")
        asked = isinstance(wanted, Mapping) and wanted.get("include_usage") is not None
        if (
            not self.include_stream_usage
            or not surface.include_usage
            or body.get("stream") is not True
            or asked
        ):
            return False
        wanted = wanted if isinstance(wanted, Mapping) else {}
        options.json_data = {**body, "stream_options": {**wanted, "include_usage": True}}
        return True


def instrument_openai(
    client: Client,
    ledger: UsageLedger,
    *,
    provider: str = "openai",
    include_stream_usage: bool = True,
) -> Client:
    """Meter an ``openai`` client (sync or async): chat, responses, embeddings; returns it.

    ``provider`` is whom it calls, for servers that speak OpenAI's language. A server that refuses
    ``stream_options`` wants ``include_stream_usage=False``: streams are then unmetered calls unless
    the host asks for usage itself.
    """
    return _instrument(client, _Metering(ledger, provider, include_stream_usage))


def instrument_anthropic(
    client: Client, ledger: UsageLedger, *, provider: str = "anthropic"
) -> Client:
    """Meter an ``anthropic`` client (sync or async): messages; returns it."""
    return _instrument(client, _Metering(ledger, provider, include_stream_usage=False))


def _instrument(client: Client, metering: _Metering) -> Client:
    if getattr(client, _MARK, None) is None:
        shielded(_wrap, client, metering)
    return client


def _wrap(client: Any, metering: _Metering) -> None:
    request, make_copy = client.request, client.copy
    wrapped = _async_request if asyncio.iscoroutinefunction(request) else _sync_request

    def copied(*args: Any, **kwargs: Any) -> Any:
        return _instrument(make_copy(*args, **kwargs), metering)

    client.request = wrapped(request, metering)
    client.copy = client.with_options = copied
    setattr(client, _MARK, metering)


def _sync_request(request: Callable[..., Any], metering: _Metering) -> Callable[..., Any]:
    def metered(cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        begun = shielded(metering.begin, options)
        if begun is None:
            return request(cast_to, options, *args, **kwargs)
        call, options = begun
        try:
            result = request(cast_to, options, *args, **kwargs)
        except BaseException as error:
            shielded(call.failed, error)
            raise
        shielded(_returned, call, result)
        return result

    return metered


def _async_request(request: Callable[..., Any], metering: _Metering) -> Callable[..., Any]:
    async def metered(cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        begun = shielded(metering.begin, options)
        if begun is None:
            return await request(cast_to, options, *args, **kwargs)
        call, options = begun
        try:
            result = await request(cast_to, options, *args, **kwargs)
        except BaseException as error:
            shielded(call.failed, error)
            raise
        shielded(_returned, call, result)
        return result

    return metered


def _parser(
    call: Call, hides_usage: bool, parser: Callable[[Any], Any] | None
) -> Callable[[Any], Any]:
    """The ``post_parser`` that sees what was parsed before the host's own does."""

    def see(parsed: Any) -> Any:
        shielded(_parsed, call, hides_usage, parsed)
        return parsed if parser is None else parser(parsed)

    return see


def _parsed(call: Call, hides_usage: bool, parsed: Any) -> None:
    if not hasattr(parsed, "__stream__"):
        call.responded(parsed)
        return
    call.streaming = True
    events = parsed._iterator
    if hasattr(events, "__anext__"):
        parsed._iterator = _async_events(events, call, hides_usage)
        parsed.close = _async_close(parsed, call)
    else:
        parsed._iterator = _events(events, call, hides_usage)
        parsed.close = _close(parsed, call)


def _returned(call: Call, result: Any) -> None:
    """What the host gets was not parsed: a raw response, which it may parse later or never."""
    if call.ended or call.streaming:
        return
    response = getattr(result, "http_response", result)
    if getattr(response, "is_closed", False) and getattr(response, "content", b""):
        call.responded(json.loads(response.content))
    elif not hasattr(result, "parse"):
        call.end()
    elif hasattr(result, "close"):
        # Read by the host itself, or parsed before it is closed.
        closes_async = asyncio.iscoroutinefunction(result.close)
        result.close = (_async_close if closes_async else _close)(result, call)


def _events(events: Iterator[Any], call: Call, hides_usage: bool) -> Iterator[Any]:
    late = False
    try:
        for event in events:
            shielded(call.saw_event, event)
            if not (hides_usage and _only_usage(event)):
                yield event
    except GeneratorExit:
        late = True
        raise
    finally:
        shielded(call.end, late=late)


async def _async_events(
    events: AsyncIterator[Any], call: Call, hides_usage: bool
) -> AsyncIterator[Any]:
    late = False
    try:
        async for event in events:
            shielded(call.saw_event, event)
            if not (hides_usage and _only_usage(event)):
                yield event
    except GeneratorExit:
        late = True
        raise
    finally:
        shielded(call.end, late=late)


# A host that leaves a stream's block early closes it, and may keep the object for long. Only weakly
# do these two refer to what is closed: a cycle would leave a dropped one to the garbage collector.


def _close(closable: Any, call: Call) -> Callable[[], None]:
    closed = weakref.ref(closable)

    def close() -> None:
        closable: Any = closed()
        try:
            type(closable).close(closable)
        finally:
            shielded(call.end)

    return close


def _async_close(closable: Any, call: Call) -> Callable[[], Awaitable[None]]:
    closed = weakref.ref(closable)

    async def close() -> None:
        closable: Any = closed()
        try:
            await type(closable).close(closable)
        finally:
            shielded(call.end)

    return close


def _only_usage(event: Any) -> bool:
    return field(event, "usage") is not None and not field(event, "choices")
