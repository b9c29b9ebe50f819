"""Since when statuses are sealed: what the Lease remembers of the keys that were in use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from agentspec_usage.controller.sealing_since import ANNOTATION, sealing_since
from agentspec_usage.errors import ClusterError
from agentspec_usage.wire.writer_state_seal import SealKey, SealKeys
from tests.fakes.kube import FakeLeases

FIRST, SECOND, THIRD = (SealKey.of(letter * 32) for letter in "abc")


class Fleet:
    """One Lease, and objects of which the youngest is at ``version``."""

    def __init__(self, annotation: str | None = None, version: int = 500) -> None:
        self.leases = FakeLeases()
        self.version = version
        self.looks = 0
        annotations = {"kept": "as it is"} | ({ANNOTATION: annotation} if annotation else {})
        self.await_(self.leases.create_lease("ns", lease(annotations)))

    def await_(self, work: Any) -> Any:
        async def main() -> Any:
            return await work

        return asyncio.run(main())

    def since(self, keys: SealKeys | None) -> int:
        async def highest() -> int:
            self.looks += 1
            return self.version

        found: int = self.await_(
            sealing_since(keys, self.leases, "ns", "operator", highest_version=highest)
        )
        return found

    def noted(self) -> str | None:
        annotations = self.await_(self.leases.get_lease("ns", "operator"))["metadata"][
            "annotations"
        ]
        assert annotations.pop("kept") == "as it is"
        noted: str | None = annotations.pop(ANNOTATION, None)
        assert annotations == {}
        return noted


def lease(annotations: Mapping[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "ns", "name": "operator", "annotations": dict(annotations)},
        "spec": {"holderIdentity": "a"},
    }


@pytest.mark.parametrize(
    ("noted", "keys", "since", "notes"),
    [
        pytest.param(None, SealKeys(FIRST), 500, f"{FIRST.id}/500", id="the first key"),
        pytest.param(
            f"{FIRST.id}/20", SealKeys(FIRST), 20, f"{FIRST.id}/20", id="the same key again"
        ),
        pytest.param(
            f"{FIRST.id}/20", SealKeys(SECOND, FIRST), 20, f"{SECOND.id}/20", id="a rotation"
        ),
        pytest.param(
            f"{SECOND.id}/20",
            SealKeys(FIRST, SECOND),
            20,
            f"{FIRST.id}/20",
            id="a rotation taken back",
        ),
        pytest.param(
            f"{FIRST.id}/20", SealKeys(THIRD, SECOND), 500, f"{THIRD.id}/500", id="a key was lost"
        ),
        pytest.param(f"{FIRST.id}/20", None, 0, None, id="no key any more"),
        pytest.param(None, None, 0, None, id="never a key"),
        pytest.param("nonsense", SealKeys(FIRST), 500, f"{FIRST.id}/500", id="nonsense"),
    ],
)
def test_a_key_is_in_use_since_it_or_its_predecessor_was_first_used(
    noted: str | None, keys: SealKeys | None, since: int, notes: str | None
) -> None:
    fleet = Fleet(noted)
    assert fleet.since(keys) == since
    assert fleet.noted() == notes


def test_once_noted_it_neither_moves_nor_looks_at_the_objects_again() -> None:
    fleet = Fleet()
    fleet.since(SealKeys(FIRST))
    fleet.version = 900
    assert fleet.since(SealKeys(FIRST)) == 500
    assert fleet.since(SealKeys(SECOND, FIRST)) == 500
    assert fleet.looks == 1


def test_a_time_without_a_key_makes_the_next_one_begin_anew() -> None:
    """What was written meanwhile bears no seal, and is right."""
    fleet = Fleet()
    fleet.since(SealKeys(FIRST))
    fleet.since(None)
    fleet.version = 900
    assert fleet.since(SealKeys(FIRST)) == 900


def test_a_renewal_in_between_is_no_hindrance() -> None:
    class Renewed(FakeLeases):
        """Somebody writes the Lease right before our first write."""

        renewals = 1

        async def update_lease(
            self, namespace: str, name: str, lease: Mapping[str, Any]
        ) -> Mapping[str, Any]:
            if self.renewals:
                self.renewals -= 1
                current = await self.get_lease(namespace, name)
                assert current is not None
                await super().update_lease(namespace, name, current)
            return await super().update_lease(namespace, name, lease)

    fleet = Fleet()
    stored = fleet.await_(fleet.leases.get_lease("ns", "operator"))
    fleet.leases = Renewed()
    fleet.await_(fleet.leases.create_lease("ns", lease(stored["metadata"]["annotations"])))
    assert fleet.since(SealKeys(FIRST)) == 500
    assert fleet.noted() == f"{FIRST.id}/500"


def test_without_the_lease_nothing_is_decided() -> None:
    fleet = Fleet()
    fleet.leases = FakeLeases()
    with pytest.raises(ClusterError, match="lease ns/operator"):
        fleet.since(SealKeys(FIRST))
