"""A program of its own, run where litellm is: makes calls, and prints what its callers see.

``litellm_calls.py OPENAI ANTHROPIC ...``: the base urls of both APIs, once or more often; a line of
JSON for each pair.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import litellm  # type: ignore[import-not-found]

ASKED = [{"role": "user", "content": "Hello!"}]
VARYING = ("id", "created")
"""What litellm makes up for itself."""


def plain(value: Any) -> Any:
    shown = value.model_dump(mode="json")
    return {name: member for name, member in shown.items() if name not in VARYING}


def calls(openai_base: str, anthropic_base: str) -> list[Any]:
    openai = {"model": "openai/gpt-5", "api_base": openai_base, "api_key": "sk-test"}
    claude = {
        "model": "anthropic/claude-sonnet-5",
        "api_base": anthropic_base,
        "api_key": "sk-ant",
        "max_tokens": 9,
    }
    seen: list[Any] = []
    for provider in (openai, claude):
        seen.append(plain(litellm.completion(messages=ASKED, num_retries=0, **provider)))
        stream = litellm.completion(messages=ASKED, stream=True, num_retries=0, **provider)
        seen.append([plain(part) for part in stream])
    return seen


def main() -> None:
    bases = sys.argv[1:]
    for pair in zip(bases[::2], bases[1::2], strict=True):
        sys.stdout.write(json.dumps(calls(*pair), default=str) + "\n")


if __name__ == "__main__":
    main()
