"""An agent in Flask, in as many workers as it is served with."""

from __future__ import annotations

import os

from flask import Flask

from agentspec_usage.sdk import UsageLedger, with_usage

ledger = UsageLedger(shared_directory=os.environ.get("WORKERS_DIRECTORY"))
app = Flask(__name__)
app.wsgi_app = with_usage(app.wsgi_app, ledger)  # type: ignore[method-assign, assignment]  # Flask's own way


@app.get("/ask")
def ask() -> dict[str, int]:
    """One model call; which process made it."""
    ledger.record("openai/gpt-4o", 100, 20)
    return {"pid": os.getpid()}
