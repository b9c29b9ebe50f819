"""A signed head reaches the places that it was promised to, also after a failure between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentspec_usage.controlplane.checkpoints import Checkpoints, Keeper
from agentspec_usage.controlplane.head_config_map import HeadConfigMap
from agentspec_usage.controlplane.head_file import HeadFile
from agentspec_usage.store.proof.checkpoints import split_checkpoints
from agentspec_usage.store.proof.signing import Signer, new_key_pair, read_signer
from agentspec_usage.store.sqlite.store import SqliteStore
from tests.fakes.config_maps import FakeConfigMaps
from tests.fakes.hand_clock import HandClock
from tests.unit.store.values import NOW, apply, frame, register


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    key = tmp_path / "signing.pem"
    key.write_bytes(new_key_pair()[0])
    return read_signer(key)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store in which something was stored."""
    opened = SqliteStore(tmp_path / "usage.db")
    try:
        await apply(opened, await register(opened), frame(0, 3))
        yield opened
    finally:
        opened.close()


def batches(text: str) -> list[int]:
    return [one.checkpoint.head.batch for one in split_checkpoints(text)]


async def test_a_head_that_could_not_be_told_is_told_the_next_time(
    store: SqliteStore, signer: Signer, tmp_path: Path
) -> None:
    file = tmp_path / "later" / "heads.txt"
    checkpoints = Checkpoints(store, signer, HandClock(NOW), [HeadFile(file)])
    await checkpoints.sign()
    file.parent.mkdir()
    await checkpoints.sign()
    assert batches(file.read_text()) == [1]
    await checkpoints.sign()
    assert batches(file.read_text()) == [1]


async def test_a_head_that_was_signed_before_a_crash_is_told_after_it(
    store: SqliteStore, signer: Signer, tmp_path: Path
) -> None:
    file = tmp_path / "heads.txt"
    assert await store.sign_head(signer, NOW) is not None
    for _ in range(2):
        await Checkpoints(store, signer, HandClock(NOW), [HeadFile(file)]).sign()
        assert batches(file.read_text()) == [1]


async def test_a_text_that_was_cut_off_does_not_spoil_those_after_it(
    store: SqliteStore, signer: Signer, tmp_path: Path
) -> None:
    file = tmp_path / "heads.txt"
    await Checkpoints(store, signer, HandClock(NOW), [HeadFile(file)]).sign()
    whole = file.read_text()
    file.write_text(whole + whole[: len(whole) // 2])
    await apply(store, await register(store, "other"), frame(0, 3))
    await Checkpoints(store, signer, HandClock(NOW), [HeadFile(file)]).sign()
    assert batches(file.read_text()) == [1, 2]


async def test_a_place_that_fails_keeps_no_other_from_having_it(
    store: SqliteStore, signer: Signer, tmp_path: Path
) -> None:
    cluster = FakeConfigMaps()
    places: list[Keeper] = [
        HeadFile(tmp_path / "nowhere" / "heads.txt"),
        HeadConfigMap(cluster, "usage", "l"),
    ]
    await Checkpoints(store, signer, HandClock(NOW), places).sign()
    assert batches(cluster.config_maps["usage", "l"]["data"]["checkpoints"]) == [1]


async def test_what_one_control_plane_signed_another_one_tells_as_well(
    store: SqliteStore, signer: Signer, tmp_path: Path
) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    planes = [Checkpoints(store, signer, HandClock(NOW), [HeadFile(file)]) for file in files]
    for plane in planes:
        await plane.sign()
    await apply(store, await register(store, "other"), frame(0, 3))
    for plane in reversed(planes):
        await plane.sign()
    assert [batches(file.read_text()) for file in files] == [[1, 2], [1, 2]]


async def test_the_age_of_the_proof_grows_in_the_place_that_fails_and_nowhere_when_idle(
    store: SqliteStore, signer: Signer, tmp_path: Path
) -> None:
    clock = HandClock(NOW)
    covered: dict[str, int] = {}
    file = tmp_path / "later" / "heads.txt"
    cluster = HeadConfigMap(FakeConfigMaps(), "usage", "heads")
    checkpoints = Checkpoints(store, signer, clock, [HeadFile(file), cluster], covered.__setitem__)
    await checkpoints.sign()
    assert covered == {"signed": NOW, "configmap": NOW}
    file.parent.mkdir()
    clock.pass_seconds(60)
    await checkpoints.sign()
    clock.pass_seconds(60)
    await checkpoints.sign()  # nothing was stored since
    assert covered == dict.fromkeys(("signed", "file", "configmap"), NOW + 120_000)


async def test_a_store_that_cannot_be_written_leaves_the_age_as_it_was_and_is_said_once(
    signer: Signer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    covered: dict[str, int] = {}
    store = SqliteStore(tmp_path / "usage.db")
    checkpoints = Checkpoints(store, signer, HandClock(NOW), [], covered.__setitem__)
    store.close()
    await checkpoints.sign()
    await checkpoints.sign()
    assert covered == {}
    assert [record.message for record in caplog.records] == ["a checkpoint could not be kept"]
