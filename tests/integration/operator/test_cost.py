"""COST in kubectl from the operator alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.agents import Workers
from tests.integration.operator.processes import Operator, running
from tests.integration.operator.team import Team
from tests.integration.operator.waiting import until


def shown(team: Team, name: str) -> dict[str, object]:
    """What the status says about the cost, in all and in short."""
    usage = (team.get(name).get("status") or {}).get("usage") or {}
    display = usage.get("display") or {}
    return {**(usage.get("cost") or {}), "shown": display.get("cost")}


def until_cost(team: Team, name: str, expected: dict[str, object]) -> None:
    until(lambda: shown(team, name) == expected, f"{name} shows {expected}")


@pytest.mark.usefixtures("operator")
def test_an_agent_shows_what_it_cost_and_what_has_no_price(team: Team) -> None:
    agent = Workers()
    agent.call(1000, 500, provider="openai", model="gpt-5")
    team.run(agent, "priced")
    team.observe("priced")
    cost: dict[str, object] = {"status": "Estimated", "currency": "USD"}
    until_cost(team, "priced", {**cost, "amount": "0.00625", "shown": "~$0.00625"})
    agent.call(20, 5, provider="ollama", model="llama3")
    expected = {**cost, "amount": "0.00625", "unpricedTokens": 25, "shown": "~$0.00625?"}
    until_cost(team, "priced", expected)

    local = Workers()
    local.call(20, 5, provider="ollama", model="llama3")
    team.run(local, "local")
    team.observe("local")
    until_cost(team, "local", {"status": "Unpriced", "unpricedTokens": 25, "shown": "?"})


def test_a_price_book_prices_what_comes_after_and_a_restart_keeps_what_was(
    team: Team, account: Path, logs: Iterator[Path], tmp_path: Path
) -> None:
    arguments = ("--no-leader-elect", f"--namespaces={team.namespace}")
    book = tmp_path / "prices.yaml"
    book.write_text(
        "currency: USD\nentries:\n"
        "- match: {provider: ollama, model: 'llama*'}\n  tiers: [{input: 100, output: 200}]\n"
    )
    agent = Workers()
    agent.call(1000, 500, provider="openai", model="gpt-5")
    team.run(agent, "both")
    team.observe("both")
    cost: dict[str, object] = {"status": "Estimated", "currency": "USD"}
    with running(account, next(logs), *arguments) as first:
        first.wait_until_ready()
        until_cost(team, "both", {**cost, "amount": "0.00625", "shown": "~$0.00625"})
        first.kill()
    agent.call(20, 5, provider="ollama", model="llama3")
    with running(account, next(logs), *arguments, f"--price-book={book}") as second:
        second.wait_until_ready()
        # 0.00625 and 20 at $100 and 5 at $200 a million
        until_cost(team, "both", {**cost, "amount": "0.00925", "shown": "~$0.00925"})


def test_an_operator_does_not_start_with_a_price_book_that_is_wrong(
    account: Path, logs: Iterator[Path], tmp_path: Path
) -> None:
    book = tmp_path / "prices.yaml"
    book.write_text("currency: USD\nentries:\n- match: {model: x}\n  tiers: [{inptu: 1}]\n")
    operator = Operator(account, log := next(logs), ["--no-leader-elect", f"--price-book={book}"])
    try:
        until(operator.ended, "the operator gave up")
    finally:
        operator.end()
    assert "line 4: entries[0].tiers[0].inptu: expected no such field" in log.read_text()
