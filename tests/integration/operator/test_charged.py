"""COST and MTD as the control plane charges them: real operator, control plane and API server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agentspec_usage.devcluster import Cluster
from agentspec_usage.store.proof.signing import new_key_pair
from tests.fakes.agents import Workers
from tests.integration.controlplane.processes import ControlPlane, control_plane
from tests.integration.controlplane.senders import Sender, flush
from tests.integration.operator.conftest import SYSTEM
from tests.integration.operator.processes import Operator, running
from tests.integration.operator.team import Team
from tests.integration.operator.waiting import until

AUDIENCE = "agentspec-usage-controlplane"

Charged = Callable[[Path], Operator]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's key, as both programs read it."""
    path = tmp_path_factory.mktemp("key") / "operator-key"
    path.write_text("an-operator-key-of-the-tests\n")
    return path


@pytest.fixture(scope="module")
def token(installed: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token of the operator's ServiceAccount, as a kubelet projects it."""
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(
        installed.kubectl(
            "create", "token", "agentspec-usage", f"--namespace={SYSTEM}", f"--audience={AUDIENCE}"
        )
    )
    return path


@pytest.fixture(scope="module")
def plane(
    installed: Cluster, key: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane that knows the operator by its key and by its account."""
    directory = tmp_path_factory.mktemp("control-plane")
    with control_plane(
        directory,
        f"--operator-key-file={key}",
        f"--operator-service-account={SYSTEM}/agentspec-usage",
        f"--kubeconfig={installed.kubeconfig}",
        f"--signing-key-file={_signing_key(directory)}",
        f"--checkpoint-file={directory / 'heads.txt'}",
        "--checkpoint-interval=1",
    ) as plane:
        yield plane


def _signing_key(directory: Path) -> Path:
    """A key with which heads of the journal are signed."""
    path = directory / "signing.pem"
    path.touch(mode=0o600)
    path.write_bytes(new_key_pair()[0])
    return path


@pytest.fixture
def charged(
    account: Path, team: Team, plane: ControlPlane, logs: Iterator[Path]
) -> Iterator[Charged]:
    """Starts the team's operator, which shows what is in a file to the control plane."""
    with ExitStack() as started:

        def start(shown: Path) -> Operator:
            arguments = (
                "--no-leader-elect",
                f"--namespaces={team.namespace}",
                f"--control-plane-url={plane.url}",
                f"--control-plane-token-file={shown}",
            )
            operator = started.enter_context(running(account, next(logs), *arguments))
            return operator.wait_until_ready()

        yield start


def usage(team: Team, name: str) -> dict[str, Any]:
    found: dict[str, Any] = team.status(name).get("usage") or {}
    return found


def until_month(team: Team, name: str, tokens: int) -> dict[str, Any]:
    """Wait until the control plane has said that ``tokens`` were used this month; the usage."""

    def look() -> dict[str, Any] | None:
        found = usage(team, name)
        return found if found.get("month", {}).get("tokens") == tokens else None

    return until(look, f"{name} shows {tokens} this month", shown=lambda: usage(team, name))


def test_an_agent_that_only_serves_its_usage_is_charged_and_shows_it(
    installed: Cluster, team: Team, charged: Charged, key: Path
) -> None:
    agent = Workers()
    agent.call(1000, 500, provider="openai", model="gpt-5")
    team.run(agent, "bot", labels={"agentspec.io/cost-center": "rd-4711"})
    team.observe("bot", costCenter="another")
    charged(key)
    found = until_month(team, "bot", 1500)
    cost = {"status": "Estimated", "amount": "0.00625", "currency": "USD"}
    assert found["cost"] == found["month"]["cost"] == found["today"]["cost"] == cost
    assert found["tail"] == {"tokens": 1500, "calls": 1}
    assert found["costCenter"] == "rd-4711"
    agent.call(1000, 500, provider="openai", model="gpt-5")
    assert until_month(team, "bot", 3000)["cost"]["amount"] == "0.0125"

    table = installed.kubectl("get", "ao", "bot", f"--namespace={team.namespace}", "-o", "wide")
    header, row = (line.split() for line in table.splitlines())
    assert (
        dict(zip(header, row, strict=True)).items()
        >= {
            "TOKENS": "3000",
            "COST": "~$0.0125",
            "$/REQ": "~$0.00625",
            "MTD": "~$0.0125",
            "COST-CENTER": "rd-4711",
        }.items()
    )


def test_the_operator_is_known_by_a_token_of_its_account(
    team: Team, charged: Charged, token: Path
) -> None:
    agent = Workers()
    agent.call(1000, 500, provider="openai", model="gpt-5")
    team.run(agent, "bot")
    team.observe("bot")
    charged(token)
    until_month(team, "bot", 1500)


def test_a_stranger_is_told_nothing_and_the_tokens_are_shown_all_the_same(
    team: Team, charged: Charged, tmp_path: Path
) -> None:
    agent = Workers()
    agent.call(1000, 500, provider="openai", model="gpt-5")
    team.run(agent, "bot")
    team.observe("bot")
    wrong = tmp_path / "key"
    wrong.write_text("not-the-operators-key")
    operator = charged(wrong)
    team.until_shows("bot", agent)
    until(
        lambda: [line for line in operator.lines() if line.get("reason") == "status 401"],
        "the operator says that it is not let in",
    )
    found = usage(team, "bot")
    assert found["display"]["cost"] == "~$0.00625"
    assert "month" not in found
    assert "not-the-operators-key" not in operator.log


def test_a_signed_head_of_the_journal_stands_in_the_status(
    team: Team, charged: Charged, plane: ControlPlane, key: Path
) -> None:
    sender = Sender(plane.url, plane.register("remote"), seed=1)
    sender.call(3)
    flush([sender])
    sender.close()
    heads = plane.database.with_name("heads.txt")
    until(lambda: heads.exists() and heads.stat().st_size, "a head was signed")
    agent = Workers()
    agent.call(1000, 500, provider="openai", model="gpt-5")
    team.run(agent, "bot")
    team.observe("bot")
    charged(key)
    ledger = until_month(team, "bot", 1500)["ledger"]
    text = heads.read_text(encoding="utf-8")
    assert ledger["root"] in text
    assert ledger["keyId"] in text
    assert ledger["size"] >= 1


def test_while_the_control_plane_is_away_the_cost_goes_on_and_is_mended_after(
    team: Team, charged: Charged, plane: ControlPlane, key: Path
) -> None:
    agent = Workers()
    agent.call(1000, 500, provider="openai", model="gpt-5")
    team.run(agent, "bot")
    team.observe("bot")
    charged(key)
    until_month(team, "bot", 1500)
    plane.kill()
    agent.call(1000, 500, provider="openai", model="gpt-5")
    team.until_shows("bot", agent)
    assert usage(team, "bot")["cost"] == {
        "status": "Estimated",
        "amount": "0.0125",
        "currency": "USD",
    }
    assert "tail" in usage(team, "bot")
    plane.start()
    agent.call(1000, 500, provider="openai", model="gpt-5")
    found = until_month(team, "bot", 4500)
    assert found["tail"]["tokens"] == 4500
    assert found["cost"]["amount"] == "0.01875"
