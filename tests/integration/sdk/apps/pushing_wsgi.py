"""An agent in Flask that pushes what it counts."""

from __future__ import annotations

import os

from flask import Flask

from agentspec_usage.sdk import Reporter, with_usage

reporter = Reporter()
reporter.start_push_mode(os.environ["CONTROL_PLANE"], "k", interval_seconds=3600)
app = Flask(__name__)
app.wsgi_app = with_usage(app.wsgi_app, reporter)  # type: ignore[method-assign, assignment]  # Flask's own way


@app.get("/ask")
def ask() -> dict[str, int]:
    """One model call."""
    reporter.ledger.record("openai/gpt-4o", 100, 20)
    return {"pid": os.getpid()}
