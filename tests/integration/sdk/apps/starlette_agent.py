"""An agent in Starlette."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from agentspec_usage.sdk import UsageLedger, usage_asgi

ledger = UsageLedger()


async def ask(_: Request) -> PlainTextResponse:
    """One model call."""
    ledger.record("openai/gpt-4o", 100, 20)
    return PlainTextResponse("hello")


app = Starlette(routes=[Route("/ask", ask), Mount("/agentspec", usage_asgi(ledger))])
