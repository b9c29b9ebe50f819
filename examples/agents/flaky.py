"""An agent that cannot be read: it answers errors and garbage in turn.

python -m uvicorn examples.agents.flaky:app --port 8080
"""

from __future__ import annotations

from itertools import cycle

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

answers = cycle(
    (
        Response("Internal Server Error", 500, media_type="text/plain"),
        Response("<!doctype html><title>Welcome</title>", media_type="text/html"),
        Response('{"models": [], "totalTokens": NaN, "totalCalls": -1}'),
    )
)


async def usage(_: Request) -> Response:
    """Anything but a number."""
    return next(answers)


app = Starlette(routes=[Route("/agentspec/usage", usage)])
