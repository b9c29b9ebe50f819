"""genai-prices reads usage too, written by others from other sources: both must say the same.

It reads whole responses only. Where the two differ by intent, the body stands in ``DIFFERENT`` with
the reason; where it refuses a body, in ``REFUSED``. A body that is neither must agree, and one that
no longer differs must leave the list.
"""

from __future__ import annotations

import json

import pytest
from genai_prices import extract_usage

from agentspec_usage.metering.counts import TokenCounts
from tests.fixtures.bodies.body import Body
from tests.fixtures.bodies.catalogue import BODIES
from tests.unit.extraction.reading_bodies import facts_of, read

FLAVOURS = {
    ("openai", "openai.chat"): ("openai", "chat"),
    ("openai", "openai.completions"): ("openai", "chat"),
    ("openai", "openai.responses"): ("openai", "responses"),
    ("openai", "openai.embeddings"): ("openai", "embeddings"),
    ("openai", "openai.images"): ("openai", "images"),
    ("anthropic", "anthropic.messages"): ("anthropic", "default"),
    ("azure", "anthropic.messages"): ("azure", "anthropic"),
    ("vertex", "anthropic.messages"): ("google", "anthropic"),
    ("gemini", "gemini.generate"): ("google", "default"),
    ("vertex", "gemini.generate"): ("google", "default"),
    ("gemini", "gemini.embed"): ("google", "default"),
    ("gemini", "gemini.chat"): ("google", "chat"),
    ("bedrock", "bedrock.converse"): ("aws", "default"),
    ("mistral", "mistral.chat"): ("mistral", "default"),
    ("cohere", "cohere.chat"): ("cohere", "default"),
    ("cohere", "cohere.embed"): ("cohere", "embeddings"),
    ("groq", "groq.chat"): ("groq", "default"),
    ("deepseek", "openai.chat"): ("deepseek", "chat"),
    ("xai", "xai.chat"): ("x-ai", "chat"),
    ("openrouter", "openai.chat"): ("openrouter", "chat"),
    ("databricks", "openai.chat"): ("databricks", "chat"),
    ("cloudflare", "cloudflare.run"): ("cloudflare", "default"),
}
"""By provider and surface: its provider and flavour."""

DIFFERENT = {
    "anthropic iterations: compaction, and an advisor of another model": (
        "it reads the top level, which leaves the compaction out"
    ),
    "gemini whose candidates include the thoughts": (
        "it adds the thoughts although the total shows that they are counted already"
    ),
    "gemini in openai's shape: thinking shows in the total alone": (
        "it leaves out what only the total shows"
    ),
    "databricks chat: the cache at the top level": "it does not read what was written to it",
    "cohere embeddings of texts and images": "it does not read the tokens of images",
}

REFUSED = {
    "openai image, charged by the piece": "there is no usage object: pieces are counted here",
    "groq compound: a call for each model": "it looks the system up as if it were a model",
}


def comparable() -> list[Body]:
    return [
        body
        for body in BODIES
        if body.media.startswith("application/json")
        and body.answer.startswith(b"{")
        and (body.provider, facts_of(body).surface.name) in FLAVOURS
    ]


def theirs(body: Body) -> TokenCounts | None:
    """What genai-prices says of it, as canonical counts; None where it refuses."""
    provider, flavour = FLAVOURS[body.provider, facts_of(body).surface.name]
    try:
        usage = extract_usage(
            json.loads(body.answer), provider_id=provider, api_flavor=flavour
        ).usage
    except (LookupError, ValueError):
        return None
    return TokenCounts(
        input=int(usage.input_tokens or 0),
        output=int(usage.output_tokens or 0),
        cache_read=int(usage.cache_read_tokens or 0),
        cache_write_unspecified=int(usage.cache_write_tokens or 0),
        audio_in=int(usage.input_audio_tokens or 0),
        audio_out=int(usage.output_audio_tokens or 0),
        calls=1,
    )


def ours(body: Body) -> TokenCounts:
    """What is read here of the main call, without what genai-prices does not tell apart."""
    counts = read(body).calls[0].counts
    return TokenCounts(
        input=counts.input,
        output=counts.output,
        cache_read=counts.cache_read,
        cache_write_unspecified=counts.cache_write,
        audio_in=counts.audio_in,
        audio_out=counts.audio_out,
        calls=1,
    )


@pytest.mark.parametrize("body", [pytest.param(body, id=body.name) for body in comparable()])
def test_both_read_the_same_or_differ_for_a_reason(body: Body) -> None:
    found = theirs(body)
    if body.name in REFUSED:
        assert found is None
    elif body.name in DIFFERENT:
        assert found is not None
        assert found != ours(body)
    else:
        assert found == ours(body)


def test_the_lists_name_bodies_that_are_compared() -> None:
    assert DIFFERENT.keys() | REFUSED.keys() <= {body.name for body in comparable()}
