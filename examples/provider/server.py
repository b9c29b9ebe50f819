"""The provider's endpoints, and ``GET /bill``: what each API key used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from examples.provider.bill import Bill, Usage
from examples.provider.chat import chat_completion, chat_events
from examples.provider.messages import message, message_events

__all__ = ["app"]

Json = Mapping[str, Any]

_bill = Bill()


async def chat(request: Request) -> Response:
    """``POST /openai/v1/chat/completions``"""
    return await _answer(request, chat_completion, chat_events)


async def messages(request: Request) -> Response:
    """``POST /anthropic/v1/messages``"""
    return await _answer(request, message, message_events)


async def bill(_: Request) -> Response:
    """``GET /bill``"""
    return JSONResponse({key: asdict(account) for key, account in _bill.accounts.items()})


async def _answer(
    request: Request,
    whole: Callable[[Json, Usage], Json],
    events: Callable[[Json, Usage], Iterator[bytes]],
) -> Response:
    # Anthropic's client has sent its key in either header, depending on its version.
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    usage = _bill.call(request.headers.get("x-api-key", bearer))
    asked: Json = await request.json()
    if asked.get("stream"):
        return StreamingResponse(_each(events(asked, usage)), media_type="text/event-stream")
    return JSONResponse(whole(asked, usage))


async def _each(events: Iterator[bytes]) -> AsyncIterator[bytes]:
    """One event after the other, here: an iterator that is not asynchronous would cost a thread
    for each.
    """
    for event in events:
        yield event


app = Starlette(
    routes=[
        Route("/openai/v1/chat/completions", chat, methods=["POST"]),
        Route("/anthropic/v1/messages", messages, methods=["POST"]),
        Route("/bill", bill),
    ]
)
