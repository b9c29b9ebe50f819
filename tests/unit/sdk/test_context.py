"""On whose behalf a call is made: said outside, known inside."""

from __future__ import annotations

import asyncio

from agentspec_usage.metering.record import NO_CONTEXT
from agentspec_usage.sdk.context import current_context, usage_context


def test_outside_every_block_nothing_is_said() -> None:
    assert current_context() is NO_CONTEXT


def test_an_inner_block_keeps_what_it_does_not_say_and_gives_it_back() -> None:
    with usage_context(team="search", session="s", labels={"a": "1"}):
        with usage_context(user="u", labels={"b": "2"}) as inner:
            assert (inner.team, inner.session, inner.user) == ("search", "s", "u")
            assert dict(inner.labels) == {"a": "1", "b": "2"}
            assert current_context() is inner
        assert current_context().user == ""
    assert current_context() is NO_CONTEXT


def test_a_run_inside_a_run_has_it_as_its_parent() -> None:
    with usage_context(run="r-1"), usage_context(run="r-2") as inner:
        assert (inner.run, inner.parent_run) == ("r-2", "r-1")


async def test_tasks_inherit_the_block_they_were_started_in() -> None:
    async def team() -> str:
        return current_context().team

    with usage_context(team="search"):
        task = asyncio.create_task(team())
    assert await task == "search"


def test_text_and_labels_are_bounded() -> None:
    labels = {f"label-{number}": "é" * 100 for number in range(40)}
    with usage_context(team="t" * 1000, labels=labels) as inner:
        assert len(inner.team) == 128
        assert len(inner.labels) == 16
        assert all(len(value.encode()) <= 64 for value in inner.labels.values())
