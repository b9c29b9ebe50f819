"""Who may hand in what was observed."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import pytest
from starlette.requests import Request

from agentspec_usage.controlplane.operator_gate import (
    ACCEPTED_SECONDS,
    REMEMBERED_TOKENS,
    REVIEW_BURST,
    OperatorGate,
)
from agentspec_usage.controlplane.token_review import account_in
from agentspec_usage.errors import SettingsError
from agentspec_usage.serving.problems import Refusal
from tests.fakes.hand_clock import HandClock

KEY = "the operator's key, of the tests"
ACCOUNT = "agentspec-system/agentspec-usage"
TOKEN = "e30.e30.c2lnbmF0dXJl"


class Reviews:
    """A ``TokenReviews`` that knows some tokens, and counts how often it was asked."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self.accounts = dict(accounts)
        self.asked = 0

    async def account(self, token: str) -> str:
        self.asked += 1
        return self.accounts.get(token, "")


def showing(bearer: str | None, address: str = "10.0.0.1") -> Request:
    headers = [] if bearer is None else [(b"authorization", f"Bearer {bearer}".encode())]
    return Request({"type": "http", "headers": headers, "client": (address, 40000)})


async def refused(
    gate: OperatorGate, bearer: str | None, address: str = "10.0.0.1"
) -> HTTPStatus | None:
    try:
        await gate.operator(showing(bearer, address))
    except Refusal as refusal:
        return refusal.status
    return None


async def test_without_a_key_or_an_account_nobody_is_let_in() -> None:
    gate = OperatorGate(HandClock())
    assert await refused(gate, "") is HTTPStatus.SERVICE_UNAVAILABLE
    assert await refused(gate, TOKEN) is HTTPStatus.SERVICE_UNAVAILABLE


async def test_the_key_lets_in_and_nothing_near_it_does() -> None:
    gate = OperatorGate(HandClock(), KEY)
    assert await refused(gate, KEY) is None
    for other in (None, "", KEY[:-1], KEY + "x", TOKEN):
        assert await refused(gate, other) is HTTPStatus.UNAUTHORIZED


def test_a_key_that_would_be_taken_for_a_token_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="form of a token"):
        OperatorGate(HandClock(), "first-part.second-part.third-part")


async def test_a_key_is_never_shown_to_the_api_server() -> None:
    reviews = Reviews({})
    gate = OperatorGate(HandClock(), KEY, [ACCOUNT], reviews)
    assert await refused(gate, KEY) is None
    assert await refused(gate, "another key of the tests") is HTTPStatus.UNAUTHORIZED
    assert reviews.asked == 0


async def test_the_account_that_is_named_is_let_in_and_no_other() -> None:
    reviews = Reviews({TOKEN: ACCOUNT, f"{TOKEN}x": "team-a/default"})
    gate = OperatorGate(HandClock(), "", [ACCOUNT], reviews)
    assert await refused(gate, TOKEN) is None
    assert await refused(gate, f"{TOKEN}x") is HTTPStatus.UNAUTHORIZED
    assert await refused(gate, f"{TOKEN}y") is HTTPStatus.UNAUTHORIZED


async def test_an_accepted_token_is_good_for_a_minute_without_asking() -> None:
    clock, reviews = HandClock(), Reviews({TOKEN: ACCOUNT})
    gate = OperatorGate(clock, "", [ACCOUNT], reviews)
    assert [await refused(gate, TOKEN) for _ in range(3)] == [None, None, None]
    assert reviews.asked == 1
    reviews.accounts.clear()
    clock.pass_seconds(ACCEPTED_SECONDS)
    assert await refused(gate, TOKEN) is HTTPStatus.UNAUTHORIZED
    assert reviews.asked == 2


async def test_strangers_tokens_are_limited_and_do_not_crowd_the_operator_out() -> None:
    clock, reviews = HandClock(), Reviews({TOKEN: ACCOUNT})
    gate = OperatorGate(clock, "", [ACCOUNT], reviews)
    assert await refused(gate, TOKEN) is None
    clock.pass_seconds(ACCEPTED_SECONDS)
    said = [await refused(gate, f"{TOKEN}{number}") for number in range(REVIEW_BURST + 1)]
    assert said[-1] is HTTPStatus.TOO_MANY_REQUESTS
    assert reviews.asked == 1 + REVIEW_BURST
    assert await refused(gate, TOKEN) is None


async def test_a_stranger_elsewhere_does_not_keep_a_new_token_of_the_operator_out() -> None:
    reviews = Reviews({TOKEN: ACCOUNT})
    gate = OperatorGate(HandClock(), "", [ACCOUNT], reviews)
    for number in range(REVIEW_BURST + 1):
        said = await refused(gate, f"{TOKEN}{number}", "10.0.0.66")
    assert said is HTTPStatus.TOO_MANY_REQUESTS
    assert await refused(gate, TOKEN) is None


async def test_what_is_remembered_of_tokens_is_bounded() -> None:
    tokens = {f"{TOKEN}{number}": ACCOUNT for number in range(REMEMBERED_TOKENS + 1)}
    clock, reviews = HandClock(), Reviews(tokens)
    gate = OperatorGate(clock, "", [ACCOUNT], reviews)
    for token in tokens:
        assert await refused(gate, token) is None
        clock.pass_seconds(0.5)
    asked = reviews.asked
    assert await refused(gate, f"{TOKEN}0") is None
    assert reviews.asked == asked + 1, "the oldest was forgotten, and is asked about again"


def review(**status: Any) -> dict[str, Any]:
    found = {
        "authenticated": True,
        "audiences": ["us"],
        "user": {"username": "system:serviceaccount:agentspec-system:agentspec-usage"},
    }
    return {"kind": "TokenReview", "status": {**found, **status}}


def test_a_review_names_the_account() -> None:
    assert account_in(review(), "us") == ACCOUNT


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(review(authenticated=False), id="not authenticated"),
        pytest.param(review(authenticated="true"), id="not quite authenticated"),
        pytest.param(review(audiences=["them"]), id="for another audience"),
        pytest.param(review(audiences=None), id="for no audience"),
        pytest.param(review(user={"username": "alice"}), id="a person"),
        pytest.param(review(user={"username": "system:serviceaccount:agentspec-system"}), id="cut"),
        pytest.param(review(user=None), id="nobody"),
        pytest.param({"status": None}, id="no status"),
        pytest.param([], id="no review"),
    ],
)
def test_a_review_that_does_not_vouch_for_an_account_names_none(answer: Any) -> None:
    assert account_in(answer, "us") == ""
