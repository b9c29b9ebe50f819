"""With a key, nobody but an operator can say what was counted; and keys come, change and get lost.

Who edits here may patch statuses, knows the notes' format, and has time while no operator runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentspec_usage.metering.checkpoint import totals
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.tally import Tally
from agentspec_usage.status.usage import usage_numbers
from agentspec_usage.wire.writer_state import pack, unpack
from agentspec_usage.wire.writer_state_seal import SealKey, parted, sealed
from tests.fakes.agents import Workers
from tests.integration.operator.processes import Operator, running
from tests.integration.operator.team import Team, condition, numbers, numbers_of
from tests.integration.operator.waiting import until

MILLION = TokenCounts(input=1_000_000)


@dataclass(frozen=True, slots=True)
class Keys:
    """Key files, and operators that lead by a Lease of the team's own and read them."""

    team: Team
    account: Path
    directory: Path

    def make(self, name: str) -> SealKey:
        text = secrets.token_hex(32)
        (self.directory / name).write_text(f"{text}\n", encoding="ascii")
        return SealKey.of(text)

    @contextmanager
    def operator(self, current: str = "", previous: str = "") -> Iterator[Operator]:
        """One that has ended by itself, its Lease released, when the block ends."""
        namespace = self.team.namespace
        flags = [f"--namespaces={namespace}", f"--lease-namespace={namespace}"]
        if current:
            flags.append(f"--seal-key-file={self.directory / current}")
        if previous:
            flags.append(f"--previous-seal-key-file={self.directory / previous}")
        log = self.directory / f"{secrets.token_hex(4)}.log"
        with running(self.account, log, *flags) as operator:
            yield operator.wait_until_ready()
            assert operator.terminate() == 0


@pytest.fixture(scope="module")
def keys(
    teams: Callable[[], Team],
    admin: httpx.Client,
    account: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], Keys]:
    """Each with a team of its own, in which the operator may lead."""

    def make() -> Keys:
        team = teams()
        base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{team.namespace}"
        leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
        verbs = {"verbs": ["get", "create", "update"]}
        role = {"metadata": {"name": "lead"}, "rules": [leases | verbs]}
        binding = {
            "metadata": {"name": "lead"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lead"},
            "subjects": [
                {
                    "kind": "ServiceAccount",
                    "name": "agentspec-usage",
                    "namespace": "agentspec-system",
                }
            ],
        }
        admin.post(f"{base}/roles", json=role).raise_for_status()
        admin.post(f"{base}/rolebindings", json=binding).raise_for_status()
        return Keys(team, account, tmp_path_factory.mktemp("keys"))

    return make


def sealed_by(status: dict[str, Any]) -> str | None:
    """The name of the key that sealed the notes."""
    _, seal = parted(status["writerState"])
    return seal.key_id if seal is not None else None


def until_sealed_by(team: Team, name: str, key: SealKey) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        status = team.status(name)
        return status if sealed_by(status) == key.id else None

    return until(look, f"{name} is sealed by {key.id}", shown=lambda: team.status(name))


def forged(status: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Whole notes with a million tokens more, and the usage that goes with them."""
    theirs = unpack(parted(status["writerState"])[0])
    more = replace(theirs, retired=theirs.retired + Tally(MILLION))
    return pack(more)[1], status["usage"] | usage_numbers(totals(more))


@dataclass(frozen=True, slots=True)
class Fleet:
    """Agents whose statuses one operator sealed; it is gone."""

    keys: Keys
    agents: dict[str, Workers]
    statuses: dict[str, dict[str, Any]]

    def put(self, name: str, notes: str, usage: dict[str, Any]) -> None:
        answer = self.keys.team.edit_status(
            name,
            [
                {"op": "replace", "path": "/status/writerState", "value": notes},
                {"op": "replace", "path": "/status/usage", "value": usage},
            ],
        )
        assert answer.is_success, answer.text


EDITED = ("stripped", "with-the-old-seal", "with-a-key-of-ones-own", "of-another-object")


@pytest.fixture(scope="module")
def after(keys: Callable[[], Keys]) -> Iterator[tuple[Fleet, Operator]]:
    """A fleet that was edited while no operator ran, and an operator that runs since."""
    mine = keys()
    team = mine.team
    key = mine.make("key")
    agents = {name: Workers() for name in (*EDITED, "untouched", "rich")}
    for name, agent in agents.items():
        agent.call(5000 if name == "rich" else 1000, 0)
        team.run(agent, name)
        team.observe(name)
    with mine.operator("key"):
        for name, agent in agents.items():
            team.until_shows(name, agent)
    statuses = {name: team.status(name) for name in agents}
    assert {sealed_by(status) for status in statuses.values()} == {key.id}
    fleet = Fleet(mine, agents, statuses)

    notes, usage = forged(statuses["stripped"])
    fleet.put("stripped", notes, usage)
    notes, usage = forged(statuses["with-the-old-seal"])
    seal = statuses["with-the-old-seal"]["writerState"][-53:]
    fleet.put("with-the-old-seal", notes + seal, usage)
    notes, usage = forged(statuses["with-a-key-of-ones-own"])
    uid = team.get("with-a-key-of-ones-own")["metadata"]["uid"]
    own = SealKey.of(secrets.token_hex(32))
    fleet.put("with-a-key-of-ones-own", sealed(notes, uid, own), usage)
    rich = statuses["rich"]
    fleet.put("of-another-object", rich["writerState"], rich["usage"])

    with mine.operator("key") as operator:
        for name in EDITED:
            team.until_condition(name, "Complete", "False", "StatusTampered")
        for name in EDITED:
            team.until_condition(name, "Ready", "True", "Metered")
            agents[name].call(7, 0)
        yield fleet, operator


@pytest.mark.parametrize("name", EDITED)
def test_numbers_made_up_while_no_operator_ran_are_not_taken(
    after: tuple[Fleet, Operator], name: str
) -> None:
    """Nor are the true ones known any more: counting starts at what was seen then, and says so."""
    fleet, _ = after
    team = fleet.keys.team
    until(
        lambda: numbers(team.status(name))["totalTokens"] == 7,
        "what was used since is counted",
        shown=lambda: team.status(name),
    )
    status = team.status(name)
    assert condition(status, "Complete") == ("False", "StatusTampered")
    assert status["usage"]["completeness"] == "LowerBound"
    assert status["usage"]["accountingEpoch"] not in {
        each["usage"]["accountingEpoch"] for each in fleet.statuses.values()
    }


def test_what_nobody_touched_goes_on_as_if_nothing_had_been(
    after: tuple[Fleet, Operator],
) -> None:
    fleet, _ = after
    fleet.agents["untouched"].call()
    status = fleet.keys.team.until_shows("untouched", fleet.agents["untouched"])
    assert condition(status, "Complete") == ("True", "Exact")
    before = fleet.statuses["untouched"]
    assert status["usage"]["accountingEpoch"] == before["usage"]["accountingEpoch"]


def test_numbers_made_up_under_a_running_operator_cost_the_epoch_and_no_token(
    after: tuple[Fleet, Operator],
) -> None:
    fleet, operator = after
    team, agent = fleet.keys.team, fleet.agents["rich"]
    agent.call()
    before = team.until_shows("rich", agent)
    notes, usage = forged(before)
    fleet.put("rich", notes, usage)
    team.until_condition("rich", "Complete", "False", "StatusTampered")
    status = team.until_shows("rich", agent)
    assert status["usage"]["accountingEpoch"] != before["usage"]["accountingEpoch"]
    said = [line for line in operator.lines() if line.get("agent") == "rich" and "notes" in line]
    assert [line["notes"] for line in said] == ["it has no seal"]


def test_no_number_is_lost_while_keys_come_change_get_lost_and_go(
    keys: Callable[[], Keys],
) -> None:
    """No key, a first one, its successor, one that nobody told the operator of, and none again.

    Beside it an object that is edited right before the rotation, which is no chance to be believed.
    """
    mine = keys()
    team, agent, other = mine.team, Workers(), Workers()
    first, second, third = (mine.make(name) for name in ("first", "second", "third"))
    for name, used in (("kept", agent), ("edited", other)):
        used.call(1000, 0)
        team.run(used, name)
        team.observe(name)
    said: dict[str, list[str]] = {}

    with mine.operator() as operator:
        epoch = team.until_shows("kept", agent)["usage"]["accountingEpoch"]
        team.until_shows("edited", other)
        said["none"] = [line["message"] for line in operator.lines()]
    for files, key in ((("first",), first), (("second", "first"), second), (("third",), third)):
        if key is second:
            Fleet(mine, {}, {}).put("edited", *forged(team.status("edited")))
        with mine.operator(*files) as operator:
            for name in ("kept", "edited"):
                until_sealed_by(team, name, key)
            said[files[0]] = [line["message"] for line in operator.lines()]
        kept, edited = team.status("kept"), team.status("edited")
        assert numbers(kept) == numbers_of(agent.truth)
        assert kept["usage"]["accountingEpoch"] == epoch
        assert condition(kept, "Complete") == ("True", "Exact")
        assert numbers(edited)["totalTokens"] == (1000 if key is first else 0)
        tampered = condition(edited, "Complete") == ("False", "StatusTampered")
        assert tampered is (key is not first)
    with mine.operator() as operator:
        agent.call()
        kept = team.until_shows("kept", agent)
        assert sealed_by(kept) is None
        assert kept["usage"]["accountingEpoch"] == epoch
        said["none again"] = [line["message"] for line in operator.lines()]

    unsealed = "there is no seal key: whoever may write a status can change what it counts"
    assert [name for name, lines in said.items() if unsealed in lines] == ["none", "none again"]
    begun = "statuses are sealed from now on; those that stand are believed"
    assert [name for name, lines in said.items() if begun in lines] == ["first"]
    lost = "statuses were sealed with a key that is not at hand; those that stand are believed"
    assert [name for name, lines in said.items() if lost in lines] == ["third"]
