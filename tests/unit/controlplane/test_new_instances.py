"""One key cannot fill the store with instances, and what is refused is taken later."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.unit.controlplane.planes import Plane, beat, running_plane
from tests.unit.store.values import frame, rows

BURST = 64
COUNT = "SELECT count(*) FROM instances"


def first_frames(begin: int, end: int) -> bytes:
    frames = (frame(0, 1, instance_id=f"{number:032x}") for number in range(begin, end))
    return encode_records([encode_frame(one) for one in frames])


async def fill(plane: Plane, headers: dict[str, str]) -> None:
    """The agent has as many instances as it may have at once."""
    answer = await plane.http.post(
        "/usage/records", content=first_frames(0, BURST), headers=headers
    )
    assert answer.status_code == 200


def settings() -> ControlPlaneSettings:
    return ControlPlaneSettings(instance_rate=0.5, instance_burst=BURST)


async def test_a_frame_of_one_instance_too_many_waits_and_is_then_taken(tmp_path: Path) -> None:
    database = tmp_path / "usage.db"
    async with running_plane(database, settings()) as plane:
        headers = await plane.bearer()
        await fill(plane, headers)
        late = first_frames(BURST, BURST + 1)
        refused = await plane.http.post("/usage/records", content=late, headers=headers)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert rows(str(database), COUNT) == [(BURST,)]
        plane.clock.pass_seconds(2)
        taken = await plane.http.post("/usage/records", content=late, headers=headers)
        assert taken.status_code == 200
        assert rows(str(database), COUNT) == [(BURST + 1,)]


async def test_instances_that_are_known_go_on(tmp_path: Path) -> None:
    async with running_plane(tmp_path / "usage.db", settings()) as plane:
        headers = await plane.bearer()
        await fill(plane, headers)
        for body in (
            first_frames(0, BURST),
            encode_records([encode_frame(frame(1, 2, instance_id=f"{0:032x}"))]),
        ):
            answer = await plane.http.post("/usage/records", content=body, headers=headers)
            assert answer.status_code == 200
        answer = await plane.http.post("/heartbeat", content=beat(f"{0:032x}"), headers=headers)
        assert answer.status_code == 200


async def test_another_agent_is_not_held_back(tmp_path: Path) -> None:
    async with running_plane(tmp_path / "usage.db", settings()) as plane:
        await fill(plane, await plane.bearer())
        await fill(plane, await plane.bearer("other"))


@pytest.mark.parametrize("final", [False, True], ids=["alive", "the last one"])
async def test_a_heartbeat_of_one_instance_too_many_waits(tmp_path: Path, final: bool) -> None:
    database = tmp_path / "usage.db"
    async with running_plane(database, settings()) as plane:
        headers = await plane.bearer()
        await fill(plane, headers)
        body = beat("f" * 32, final=final)
        refused = await plane.http.post("/heartbeat", content=body, headers=headers)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert rows(str(database), COUNT) == [(BURST,)]
        plane.clock.pass_seconds(2)
        taken = await plane.http.post("/heartbeat", content=body, headers=headers)
        assert taken.status_code == 200
