"""A support bot: FastAPI, and OpenAI's client with streamed answers.

python -m uvicorn examples.agents.support_bot:app --port 8080
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, FastAPI
from openai import AsyncOpenAI

from agentspec_usage.sdk import Reporter, instrument_openai, usage_asgi

reporter = Reporter.from_environment()
client = instrument_openai(AsyncOpenAI(), reporter.ledger)

app = FastAPI(lifespan=reporter.lifespan)
app.mount("/agentspec", usage_asgi(reporter))


@app.post("/ask")
async def ask(question: Annotated[str, Body(embed=True)]) -> str:
    """Answer a customer."""
    stream = await client.chat.completions.create(
        model="gpt-5-mini",
        messages=[
            {"role": "system", "content": "You help customers of a bicycle shop."},
            {"role": "user", "content": question},
        ],
        stream=True,
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
