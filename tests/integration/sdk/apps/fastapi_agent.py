"""An agent in FastAPI, in as many workers as it is served with."""

from __future__ import annotations

import os

from fastapi import FastAPI

from agentspec_usage.sdk import UsageLedger, usage_asgi

ledger = UsageLedger(shared_directory=os.environ.get("WORKERS_DIRECTORY"))
app = FastAPI()
app.mount("/agentspec", usage_asgi(ledger, health=lambda: "degraded"))


@app.get("/ask")
async def ask() -> dict[str, int]:
    """One model call; which process made it."""
    ledger.record("openai/gpt-4o", 100, 20)
    return {"pid": os.getpid()}
