"""Each provider's own SDK parses the bodies: one that could not exist is found, and so is a member
whose name is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from tests.fixtures.bodies.body import Body
from tests.fixtures.bodies.catalogue import BODIES

PARSED = [pytest.param(body, id=body.name) for body in BODIES if body.parsed_by]


def type_of(name: str) -> Any:
    module, _, member = name.partition(":")
    return getattr(import_module(module), member)


def unknown(parsed: object) -> Iterator[str]:
    """The members that the SDK's type keeps and does not know, anywhere in ``parsed``."""
    if isinstance(parsed, BaseModel):
        yield from parsed.model_extra or {}
        for name in type(parsed).model_fields:
            # Not getattr: reading a member that is deprecated warns.
            yield from unknown(parsed.__dict__.get(name))
    elif isinstance(parsed, Mapping):
        for value in parsed.values():
            yield from unknown(value)
    elif isinstance(parsed, list | tuple):
        for value in parsed:
            yield from unknown(value)


@pytest.mark.parametrize("body", PARSED)
def test_the_providers_own_types_know_everything_in_a_body(body: Body) -> None:
    assert body.parts
    adapter: TypeAdapter[Any] = TypeAdapter(type_of(body.parsed_by))
    for part in body.parts:
        assert set(unknown(adapter.validate_python(dict(part)))) <= body.beyond


def test_every_sdk_that_is_installed_for_it_parses_some_body() -> None:
    used = {body.parsed_by.partition(".")[0].partition(":")[0] for body in BODIES}
    assert used >= {"openai", "anthropic", "google", "groq", "mistralai", "cohere", "ollama"}
