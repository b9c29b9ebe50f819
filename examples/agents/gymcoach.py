"""A coach that counts by itself, in AgentSpec's own dialect: a window since a start, and no word on
which process it was.

Its numbers are estimates to a reader, because whoever drains such a window takes with it what was
used since the last reading. Here nobody drains it.

python -m uvicorn examples.agents.gymcoach:app --port 8080
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Body, FastAPI
from openai import AsyncOpenAI

MODEL = "gpt-5-mini"

client = AsyncOpenAI()
started = datetime.now(UTC)
used: Counter[str] = Counter()

app = FastAPI()


@app.post("/ask")
async def ask(question: Annotated[str, Body(embed=True)]) -> str:
    """Plan a training."""
    answer = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}]
    )
    if answer.usage is not None:
        used["promptTokens"] += answer.usage.prompt_tokens
        used["completionTokens"] += answer.usage.completion_tokens
        used["totalTokens"] += answer.usage.total_tokens
    used["callCount"] += 1
    return answer.choices[0].message.content or ""


@app.get("/agentspec/usage")
async def usage() -> dict[str, Any]:
    """What was used since the start."""
    return {
        "windowStartedAt": started.isoformat(),
        "models": [{"modelId": f"openai/{MODEL}", **used}],
        "totalTokens": used["totalTokens"],
        "totalCalls": used["callCount"],
    }
