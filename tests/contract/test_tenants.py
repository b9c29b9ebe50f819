"""No tenant's credential shows or changes anything of another tenant, by whatever way (I14).

Read: about a stranger an agent is told what it is told about nobody, and what it is told of itself
is the same before and after strangers reported. Written: whatever an agent sends in a stranger's
name, the stranger's own view and the administrator's view of the stranger stay as they were.

The operations and their parameters come from the document. One that is new fails here until these
tables say what it is of a tenant.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import httpx
import pytest

from tests.contract.described import DescribedOperation, described_operations
from tests.contract.planes import open_control_plane
from tests.contract.tenants import CALLS, MONTH, Tenant, register, with_batch
from tests.integration.controlplane.processes import ADMIN, ControlPlane
from tests.integration.controlplane.waiting import until

NAMING: dict[str, Callable[[Tenant], tuple[str, ...]]] = {
    "org_id": lambda tenant: (tenant.namespace,),
    "namespace": lambda tenant: (tenant.namespace,),
    "agent_id": lambda tenant: (f"{tenant.namespace}/{tenant.name}", tenant.agent_id),
    "id": lambda tenant: (f"{tenant.namespace}/{tenant.name}", tenant.agent_id),
    "name": lambda tenant: (tenant.name,),
    "model": lambda tenant: (tenant.series.model,),
    "user_id": lambda tenant: (f"user-{tenant.mark}",),
    "batch.id": lambda tenant: (tenant.batch_id,),
}
"""What a parameter is of a tenant, in each way that it can be said; of one operation, where it
means something else there."""

NAMELESS = {
    *("start_time", "end_time", "time_zone", "limit", "offset", "cursor"),
    *("month", "zone", "by", "format", "digits", "max_age"),
}
"""Parameters that name nobody."""

ALWAYS = {"month": MONTH, "format": "csv"}
"""What is asked for where there is a choice: the month that was reported, without the journal's
head, which everybody moves."""

OF_ALL = {"periods", "verify", "events_stats"}
"""What tells the administrator of everything at once, and of nobody."""

ATTACKS: dict[str, Callable[[Tenant, Tenant], Sequence[bytes]]] = {
    "heartbeat": lambda own, other: [
        own.heartbeat(other.instance_id),
        _claiming(own.heartbeat(other.instance_id), other),
    ],
    "records": lambda own, other: [
        own.frames(other.instance_id, CALLS, CALLS + 1),
        own.frames(other.instance_id, 0, CALLS + 3),
        _claiming(own.frames(other.instance_id, CALLS + 3, CALLS + 4), other),
    ],
    "events": lambda own, other: [
        own.events(f"session-{other.mark}"),
        _claiming(own.events(f"session-{other.mark}"), other),
    ],
}
"""Bodies that an agent may send, as much another's as they can be."""

NOBODY = Tenant("grey", "none-such", f"agt_{'0' * 32}", {}, "of-nobody", "0" * 32, 1)


def _claiming(body: bytes, other: Tenant) -> bytes:
    """The body with every field added that could name ``other``."""
    claimed = {name: say(other)[-1] for name, say in NAMING.items()}
    claims = {**claimed, "agentId": other.agent_id, "agentName": other.name}
    return json.dumps({**claims, **json.loads(body)}).encode()


@dataclass(frozen=True, slots=True)
class World:
    """Tenants: ``own`` is red's, the others share its name, or its namespace."""

    client: httpx.Client
    plane: ControlPlane
    operations: tuple[DescribedOperation, ...]
    own: Tenant
    before: Mapping[str, str]
    strangers: tuple[Tenant, ...]

    def ask(
        self,
        operation: DescribedOperation,
        headers: Mapping[str, str],
        values: Mapping[str, str],
    ) -> httpx.Response:
        """Ask with the values that the operation has parameters for."""
        given = {**ALWAYS, **values}
        asked = {name: given[name] for name in operation.in_query if name in given}
        return self.client.request(
            operation.method, operation.url(given), params=asked, headers=dict(headers)
        )

    def questions(self, scheme: str) -> list[DescribedOperation]:
        """What can be read with a credential of this kind."""
        return [one for one in self.operations if one.method == "GET" and scheme in one.schemes]

    def open_to_writing(self) -> list[DescribedOperation]:
        """What an agent may send a body to."""
        return [one for one in self.operations if one.has_body and "apiKey" in one.schemes]


def naming(operation: DescribedOperation) -> dict[str, Callable[[Tenant], tuple[str, ...]]]:
    """The operation's parameters that name somebody, and what they are of a tenant."""
    names = (*operation.in_path, *operation.in_query)
    known = {name: NAMING.get(f"{operation.name}.{name}", NAMING.get(name)) for name in names}
    return {name: say for name, say in known.items() if say is not None}


def said(operation: DescribedOperation, tenant: Tenant) -> dict[str, str]:
    """Every parameter of the operation that names somebody, as the tenant's."""
    return {name: say(tenant)[0] for name, say in naming(operation).items()}


def own_path(operation: DescribedOperation, tenant: Tenant) -> dict[str, str]:
    """What a path of the tenant's own needs, and nothing that is asked beside it."""
    own = said(operation, tenant)
    return {name: own[name] for name in operation.in_path}


def tells_of(text: str, tenant: Tenant) -> bool:
    """Whether one of the tenant's names or numbers is in it."""
    used = (str(calls * tenant.tokens) for calls in range(1, CALLS + 2))
    return any(each in text for each in (tenant.mark, tenant.agent_id, *used))


def without_head(text: str) -> str:
    """The answer without the column of the journal's head, which everybody moves."""
    rows = list(csv.reader(io.StringIO(text)))
    if "x_LedgerBatch" not in rows[0]:
        return text
    head = rows[0].index("x_LedgerBatch")
    return str([row[:head] + row[head + 1 :] for row in rows])


def own_answers(world: World, tenant: Tenant) -> dict[str, str]:
    """What the tenant is told, asking for nothing in particular."""
    answers: dict[str, str] = {}
    for operation in world.questions("apiKey"):
        answer = world.ask(operation, tenant.headers, own_path(operation, tenant))
        assert answer.status_code == 200, (operation.name, answer.text)
        answers[operation.name] = without_head(answer.text)
    return answers


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        open_control_plane(tmp_path_factory.mktemp("tenants")) as plane,
        httpx.Client(base_url=plane.url, timeout=10) as client,
    ):

        def tenant(namespace: str, name: str, tokens: int) -> Tenant:
            registered = register(client, namespace, name, tokens)
            registered.report(client)
            return with_batch(client, plane, registered)

        own = tenant("red", "web", 7_919_003)
        alone = World(client, plane, described_operations(plane), own, {}, ())
        before = own_answers(alone, own)
        strangers = (tenant("blue", "web", 15_485_863), tenant("red", "worker", 32_452_843))
        yield replace(alone, before=before, strangers=strangers)


def test_every_parameter_is_known_to_name_somebody_or_nobody(world: World) -> None:
    for operation in world.operations:
        names = {*operation.in_path, *operation.in_query}
        assert names <= naming(operation).keys() | NAMELESS, operation.name


def test_every_body_that_an_agent_may_send_is_tried(world: World) -> None:
    assert {operation.name for operation in world.open_to_writing()} == ATTACKS.keys()


def test_what_a_tenant_is_told_of_itself_is_the_same_among_strangers(world: World) -> None:
    assert own_answers(world, world.own) == world.before
    for name, answer in world.before.items():
        assert tells_of(answer, world.own), name


def test_of_a_stranger_a_tenant_is_told_what_it_is_told_of_nobody(world: World) -> None:
    for operation in world.questions("apiKey"):
        for name, say in naming(operation).items():
            for stranger in world.strangers:
                if say(stranger) == say(world.own):
                    continue
                for theirs, nobodys in zip(say(stranger), say(NOBODY), strict=True):
                    told = told_of(world, operation, name, theirs)
                    assert told == told_of(world, operation, name, nobodys), (operation.name, name)
                    assert not tells_of(told[1], stranger)


def told_of(world: World, operation: DescribedOperation, name: str, value: str) -> tuple[int, str]:
    """Status and text that the tenant gets, the value itself left out."""
    values = own_path(operation, world.own) | {name: value}
    answer = world.ask(operation, world.own.headers, values)
    return answer.status_code, answer.text.replace(value, "*")


def test_a_strangers_place_in_the_history_leads_to_nothing_of_the_stranger(world: World) -> None:
    for stranger in world.strangers:
        page = world.client.get(
            "/api/v1/usage/history", params={"limit": 1}, headers=stranger.headers
        ).json()
        told = world.client.get(
            "/api/v1/usage/history",
            params={"cursor": page["nextCursor"]},
            headers=world.own.headers,
        )
        assert told.status_code == 200
        assert not tells_of(told.text, stranger)
        assert told.json()["total"] == CALLS + 1


def view(world: World, of: Tenant) -> dict[str, str]:
    """Everything that can be read of a tenant: by itself, and by the administrator."""
    seen = own_answers(world, of)
    for operation in world.questions("adminKey"):
        if operation.name in OF_ALL:
            continue
        answer = world.ask(operation, ADMIN, said(operation, of))
        assert answer.status_code == 200, (operation.name, answer.text)
        text = answer.text
        if text.startswith("["):
            text = str([each for each in answer.json() if of.agent_id in str(each)])
        assert tells_of(text, of), operation.name
        seen[f"{operation.name} for the administrator"] = without_head(text)
    return seen


def test_what_a_tenant_sends_in_a_strangers_name_becomes_its_own(world: World) -> None:
    intruder = register(world.client, "green", "web", 49_979_687)

    def arrived(calls: int) -> bool:
        answer = world.client.get("/api/v1/usage", headers=intruder.headers)
        return bool(answer.json()["requestCount"] == calls)

    for number, stranger in enumerate(world.strangers, 1):
        seen = view(world, stranger)
        for operation in world.open_to_writing():
            for body in ATTACKS[operation.name](intruder, stranger):
                answer = world.client.request(
                    operation.method,
                    operation.path,
                    params={name: say(stranger)[-1] for name, say in NAMING.items()},
                    content=body,
                    headers=intruder.headers,
                )
                assert answer.is_success, (operation.name, answer.text)
                assert stranger.mark not in answer.text
        sent = number * (CALLS + 4 + len(ATTACKS["events"](intruder, stranger)))
        until(partial(arrived, sent), f"all {sent} calls are the intruder's")
        assert view(world, stranger) == seen


def test_where_a_strangers_instance_stands_is_told_to_nobody_else(world: World) -> None:
    intruder = register(world.client, "green", "other", 67_867_967)
    for stranger in world.strangers:
        answer = world.client.post(
            "/api/v1/usage/records",
            content=intruder.frames(stranger.instance_id, CALLS, CALLS + 1),
            headers=intruder.headers,
        )
        assert answer.json()["gaps"] == [{"instanceId": stranger.instance_id, "have": 0}]
