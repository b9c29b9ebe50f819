"""A checkout that does not meter at all: the sidecar of its pod does, from outside the process.

Its client calls the sidecar in the provider's place, because the pod says so:

export OPENAI_BASE_URL=http://127.0.0.1:4000/openai/v1
python -m uvicorn examples.agents.checkout:app --port 8080
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, FastAPI
from openai import AsyncOpenAI

client = AsyncOpenAI()

app = FastAPI()


@app.post("/ask")
async def ask(question: Annotated[str, Body(embed=True)]) -> str:
    """Check an order."""
    stream = await client.chat.completions.create(
        model="gpt-5-mini", messages=[{"role": "user", "content": question}], stream=True
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
