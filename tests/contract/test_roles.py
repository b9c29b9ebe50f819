"""Every operation with every role: who is let in is what the operation declares, and nothing else.

The requests are wrong in every other respect (a body that is no JSON, a parameter that nobody
knows), so a refusal shows that the credential is looked at before anything else is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.contract.described import DescribedOperation, described_operations
from tests.contract.planes import OPERATOR, open_control_plane
from tests.integration.controlplane.processes import ADMIN, ControlPlane
from tests.integration.controlplane.waiting import until

ADMIN_KEY, AGENT_KEY, OPERATOR_KEY = "adminKey", "apiKey", "operator"
ADMIN_HEADER = "X-Admin-Key"

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Keys:
    """Agents' keys: one that is good, and each kind of one that was."""

    live: str
    revoked: str
    replaced: str
    expired: str


@dataclass(frozen=True, slots=True)
class Role:
    """What somebody shows, and the schemes that it satisfies."""

    headers: Headers
    satisfied: frozenset[str] = frozenset()


def _bearer(key: str) -> Headers:
    return {"Authorization": f"Bearer {key}"}


def _with_another_secret(key: str) -> str:
    return key[:-1] + ("0" if key[-1] != "0" else "1")


_AGENT = frozenset({AGENT_KEY})

ROLES: dict[str, Callable[[Keys], Role]] = {
    "nobody": lambda _: Role({}),
    "an empty key": lambda _: Role({"Authorization": "Bearer"}),
    "a key that is none": lambda _: Role(_bearer("ask_key")),
    "a key nobody has": lambda _: Role(_bearer(f"ask_{'0' * 32}_{'0' * 64}")),
    "a key with another secret": lambda keys: Role(_bearer(_with_another_secret(keys.live))),
    "an expired key": lambda keys: Role(_bearer(keys.expired)),
    "a revoked key": lambda keys: Role(_bearer(keys.revoked)),
    "a key that was replaced": lambda keys: Role(_bearer(keys.replaced)),
    "a key by another scheme": lambda keys: Role({"Authorization": f"Basic {keys.live}"}),
    "the admin key as an agent's": lambda _: Role(_bearer(ADMIN[ADMIN_HEADER])),
    "an agent's key as the admin's": lambda keys: Role({ADMIN_HEADER: keys.live}),
    "a wrong admin key": lambda _: Role({ADMIN_HEADER: ADMIN[ADMIN_HEADER][:-1]}),
    "a wrong admin key beside an agent's": lambda keys: Role(
        {ADMIN_HEADER: "no", **_bearer(keys.live)}, _AGENT
    ),
    "an agent": lambda keys: Role(_bearer(keys.live), _AGENT),
    "the administrator": lambda _: Role(ADMIN, frozenset({ADMIN_KEY})),
    "the operator": lambda _: Role(OPERATOR, frozenset({OPERATOR_KEY})),
    "a wrong operator's key": lambda _: Role(_bearer(OPERATOR["Authorization"][7:-1])),
    "a token of nobody's": lambda _: Role(_bearer("e30.e30.e30")),
    "the operator's key as the admin's": lambda _: Role(
        {ADMIN_HEADER: OPERATOR["Authorization"].removeprefix("Bearer ")}
    ),
}


def refusal(operation: DescribedOperation, role: Role) -> int | None:
    """The status that refuses the role; None where it is let in.

    Whoever shows an admin key is judged by it wherever one is taken, so a wrong one never becomes
    a right agent's.
    """
    unknown = operation.schemes - {ADMIN_KEY, AGENT_KEY, OPERATOR_KEY}
    assert not unknown, f"{operation.name}: say here who satisfies {unknown}"
    if not operation.schemes:
        return None
    bearers = operation.schemes - {ADMIN_KEY}
    if ADMIN_KEY in operation.schemes and (not bearers or ADMIN_HEADER in role.headers):
        return None if ADMIN_KEY in role.satisfied else 403
    return None if bearers & role.satisfied else 401


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with open_control_plane(tmp_path_factory.mktemp("roles")) as running:
        yield running


@pytest.fixture(scope="module")
def client(plane: ControlPlane) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=plane.url, timeout=10) as connected:
        yield connected


@pytest.fixture(scope="module")
def operations(plane: ControlPlane) -> tuple[DescribedOperation, ...]:
    return described_operations(plane)


@pytest.fixture(scope="module")
def keys(plane: ControlPlane, client: httpx.Client) -> Keys:
    found = Keys(*(plane.register(name) for name in ("live", "revoked", "replaced", "expired")))
    client.delete("/api/v1/agents/revoked", headers=ADMIN).raise_for_status()
    plane.register("replaced")
    again = {"agentName": "expired", "runtime": "local", "overlapSeconds": 1}
    client.post("/api/v1/register", json=again, headers=ADMIN).raise_for_status()
    until(
        lambda: client.get("/api/v1/usage", headers=_bearer(found.expired)).status_code == 401,
        "the key expires",
    )
    return found


def ask(client: httpx.Client, operation: DescribedOperation, role: Role) -> httpx.Response:
    """A request that only its credential could make good."""
    return client.request(
        operation.method,
        operation.url(dict.fromkeys(operation.in_path, "none-such")),
        params={"nonsense": "1"},
        headers=role.headers,
        content=b"{" if operation.has_body else None,
    )


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_let_in_where_the_operation_says_so(
    client: httpx.Client, operations: tuple[DescribedOperation, ...], keys: Keys, name: str
) -> None:
    role = ROLES[name](keys)
    expected = {operation.name: refusal(operation, role) for operation in operations}
    answers = {operation.name: ask(client, operation, role).status_code for operation in operations}
    assert {
        name: status if status in (401, 403) else None for name, status in answers.items()
    } == expected
    assert max(answers.values()) < 500, answers


def test_a_refusal_says_nothing_of_what_is_wrong_with_the_key(
    client: httpx.Client, operations: tuple[DescribedOperation, ...], keys: Keys
) -> None:
    for operation in operations:
        told: dict[int, set[bytes]] = {}
        for made in ROLES.values():
            answer = ask(client, operation, made(keys))
            if answer.status_code in (401, 403):
                told.setdefault(answer.status_code, set()).add(answer.content)
                assert (answer.status_code == 401) == ("www-authenticate" in answer.headers)
        assert all(len(bodies) == 1 for bodies in told.values()), (operation.name, told)


def test_no_path_takes_another_method_than_those_that_are_described(
    client: httpx.Client, operations: tuple[DescribedOperation, ...], keys: Keys
) -> None:
    methods: dict[str, set[str]] = {}
    for operation in operations:
        methods.setdefault(operation.path, set()).add(operation.method)
    for operation in operations:
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods[operation.path]:
            url = operation.url(dict.fromkeys(operation.in_path, "none-such"))
            answer = client.request(method, url, headers={**ADMIN, **_bearer(keys.live)})
            assert (answer.status_code, method in answer.headers["allow"]) == (405, False), url
