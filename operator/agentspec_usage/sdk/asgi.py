"""The usage endpoint as an ASGI app: mounted in Starlette or FastAPI in one line, or run alone.

``app.mount("/agentspec", usage_asgi(ledger))``
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from agentspec_usage.sdk.endpoint import HealthCheck, Snapshots, UsageEndpoint

__all__ = ["AsgiApp", "usage_asgi"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]


def usage_asgi(source: Snapshots, *, health: HealthCheck | None = None) -> AsgiApp:
    """The app that answers for ``source``; ``health`` says how the agent is."""
    endpoint = UsageEndpoint(source) if health is None else UsageEndpoint(source, health)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await _respond(endpoint, scope, send)
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})

    return app


async def _respond(endpoint: UsageEndpoint, scope: Message, send: Send) -> None:
    method, path = scope["method"], scope["path"]
    # The path is the whole one, the root path what the app is mounted at.
    answer = endpoint.answer(method, path.removeprefix(scope.get("root_path", "")))
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    status = int(answer.status.partition(" ")[0])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    body = b"" if method == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    """Say yes to a server that runs the app alone: there is nothing to start or to stop."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
