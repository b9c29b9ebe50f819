"""Calls that keep to their output limits never use more than a hard limit, in whatever order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.sidecar.calls import ProxiedRequest
from tests.unit.sidecar.budget.budgets import Spender

HARD_TOKENS = 100
HARD_REQUESTS = 6
MOST_MOVED = 3 * 86_400
"""Within the windows that are remembered."""

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(0, 120)),
        st.tuples(st.just("settle"), st.integers(0, 9)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("step"), st.sampled_from([-86_400, 60, 86_400])),
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_what_was_used_stays_within_the_limits(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path: Path = tmp_path_factory.mktemp("budget") / "budget"
    spender = Spender(path, hardTokens=HARD_TOKENS, hardRequests=HARD_REQUESTS)
    under_way: list[tuple[ProxiedRequest, int]] = []
    used: dict[int, list[int]] = {}
    moved = 0
    for step, number in steps:
        day = spender.clock.now() // 86_400_000
        if step == "begin":
            begun = spender.begin(output_limit=number)
            if isinstance(begun, ProxiedRequest):
                under_way.append((begun, number))
        elif step == "settle" and under_way:
            request, limit = under_way.pop(number % len(under_way))
            spender.settle(request, limit)
            used.setdefault(day, []).append(limit)
        elif step == "restart":
            # What was under way is cut: it used nothing that anybody told.
            under_way.clear()
            spender.restart()
        elif step == "step" and not under_way and abs(moved + number) <= MOST_MOVED:
            # A call that a step of the clock finds under way was admitted by another window.
            moved += number
            spender.clock.pass_seconds(number)
        now = spender.budget.facts()
        today = used.get(spender.clock.now() // 86_400_000, [])
        assert (now.used.tokens, now.used.requests) == (sum(today), len(today))
        assert now.used.tokens <= HARD_TOKENS
        assert now.used.requests <= HARD_REQUESTS
        assert now.under_way == len(under_way)
        assert now.reserved == sum(limit for _, limit in under_way)
