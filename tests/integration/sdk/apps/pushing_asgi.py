"""An agent in FastAPI that pushes what it counts."""

from __future__ import annotations

import os

from fastapi import FastAPI

from agentspec_usage.sdk import Reporter, usage_asgi

reporter = Reporter()
reporter.start_push_mode(os.environ["CONTROL_PLANE"], "k", interval_seconds=3600)
app = FastAPI(lifespan=reporter.lifespan)
app.mount("/agentspec", usage_asgi(reporter))


@app.get("/ask")
async def ask() -> dict[str, int]:
    """One model call."""
    reporter.ledger.record("openai/gpt-4o", 100, 20)
    return {"pid": os.getpid()}
