"""A signed head reaches the file that it was promised to, also after a failure between."""

from __future__ import annotations

from pathlib import Path

from agentspec_usage.controlplane.checkpoints import Checkpoints
from agentspec_usage.store.proof.checkpoints import split_checkpoints
from agentspec_usage.store.proof.signing import new_key_pair, read_signer
from agentspec_usage.store.sqlite.store import SqliteStore
from tests.fakes.hand_clock import HandClock
from tests.unit.store.values import NOW, apply, frame, register


def batches(file: Path) -> list[int]:
    return [one.checkpoint.head.batch for one in split_checkpoints(file.read_text())]


async def test_a_head_that_could_not_be_told_is_told_the_next_time(tmp_path: Path) -> None:
    key, file = tmp_path / "signing.pem", tmp_path / "later" / "heads.txt"
    key.write_bytes(new_key_pair()[0])
    signer = read_signer(key)
    store = SqliteStore(tmp_path / "usage.db")
    try:
        await apply(store, await register(store), frame(0, 3))
        checkpoints = Checkpoints(store, signer, HandClock(NOW), file)
        await checkpoints.sign()
        file.parent.mkdir()
        await checkpoints.sign()
        assert batches(file) == [1]
        await checkpoints.sign()
        assert batches(file) == [1]
    finally:
        store.close()


async def test_a_head_that_was_signed_before_a_crash_is_told_after_it(tmp_path: Path) -> None:
    key, file = tmp_path / "signing.pem", tmp_path / "heads.txt"
    key.write_bytes(new_key_pair()[0])
    signer = read_signer(key)
    store = SqliteStore(tmp_path / "usage.db")
    try:
        await apply(store, await register(store), frame(0, 3))
        assert await store.sign_head(signer, NOW) is not None
    finally:
        store.close()
    store = SqliteStore(tmp_path / "usage.db")
    try:
        await Checkpoints(store, signer, HandClock(NOW), file).sign()
        assert batches(file) == [1]
        await Checkpoints(store, signer, HandClock(NOW), file).sign()
        assert batches(file) == [1]
    finally:
        store.close()


async def test_a_text_that_was_cut_off_does_not_spoil_those_after_it(tmp_path: Path) -> None:
    key, file = tmp_path / "signing.pem", tmp_path / "heads.txt"
    key.write_bytes(new_key_pair()[0])
    signer = read_signer(key)
    store = SqliteStore(tmp_path / "usage.db")
    try:
        agent = await register(store)
        await apply(store, agent, frame(0, 3))
        checkpoints = Checkpoints(store, signer, HandClock(NOW), file)
        await checkpoints.sign()
        whole = file.read_text()
        file.write_text(whole + whole[: len(whole) // 2])
        await apply(store, agent, frame(3, 6))
        await Checkpoints(store, signer, HandClock(NOW), file).sign()
        assert batches(file) == [1, 2]
    finally:
        store.close()
