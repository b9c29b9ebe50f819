"""A writer: FastAPI, and Anthropic's client with streamed answers.

python -m uvicorn examples.agents.writer:app --port 8080
"""

from __future__ import annotations

from typing import Annotated

from anthropic import AsyncAnthropic
from fastapi import Body, FastAPI

from agentspec_usage.sdk import Reporter, instrument_anthropic, usage_asgi

reporter = Reporter.from_environment()
client = instrument_anthropic(AsyncAnthropic(), reporter.ledger)

app = FastAPI(lifespan=reporter.lifespan)
app.mount("/agentspec", usage_asgi(reporter))


@app.post("/ask")
async def ask(question: Annotated[str, Body(embed=True)]) -> str:
    """Write about something."""
    async with client.messages.stream(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": question}],
    ) as stream:
        return await stream.get_final_text()
