"""A triage: Flask, and OpenAI's client, in several worker processes behind one port.

With a directory that the workers share, any of them answers for all.

export AGENTSPEC_SHARED_DIRECTORY=/run/agentspec
python -m gunicorn examples.agents.triage:app --workers 2 --preload --bind 127.0.0.1:8080
"""

from __future__ import annotations

from flask import Flask, request
from openai import OpenAI

from agentspec_usage.sdk import Reporter, instrument_openai, with_usage

reporter = Reporter.from_environment()
client = instrument_openai(OpenAI(), reporter.ledger)

flask = Flask(__name__)
app = with_usage(flask, reporter)


@flask.post("/ask")
def ask() -> str:
    """Sort a ticket."""
    answer = client.chat.completions.create(
        model="gpt-5-nano",
        messages=[
            {"role": "system", "content": "Name the team that this is for."},
            {"role": "user", "content": request.get_json()["question"]},
        ],
    )
    return answer.choices[0].message.content or ""
