"""Heads in a ConfigMap: bounded for ever, the newest always there, and nothing is written over."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.controlplane.head_config_map import HeadConfigMap, next_heads
from agentspec_usage.errors import ClusterError
from agentspec_usage.store.proof.chain import Head
from agentspec_usage.store.proof.checkpoints import (
    Checkpoint,
    SignedCheckpoint,
    split_checkpoints,
)
from tests.fakes.config_maps import FakeConfigMaps

BEGAN = int(datetime(2026, 11, 22, 19, tzinfo=UTC).timestamp() * 1000)
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LARGEST = 900_000


def head(batch: int, at: int, ledger: str = "0" * 32) -> SignedCheckpoint:
    chained = Head(batch, sha256(f"{ledger}{batch}".encode()).digest(), 10 * batch)
    return SignedCheckpoint(Checkpoint(ledger, chained, at, b"k".hex() * 8), bytes(64))


def days(heads: tuple[SignedCheckpoint, ...]) -> set[int]:
    return {one.checkpoint.at // DAY for one in heads}


def test_the_last_hour_stays_whole_and_of_each_earlier_day_its_last_head() -> None:
    heads: tuple[SignedCheckpoint, ...] = ()
    for number in range(3 * 24 * 60):
        heads = next_heads(heads, head(number, BEGAN + number * MINUTE))
    recent, older = heads[-60:], heads[:-60]
    assert [one.checkpoint.head.batch for one in recent] == list(range(4260, 4320))
    # 19:00 of the first day, and two whole days on: the last minute before each midnight, and of
    # the present day the last one that is older than an hour.
    assert [one.checkpoint.head.batch for one in older] == [299, 1739, 3179, 4259]


def test_a_century_of_days_fits_into_a_config_map_and_half_of_it_is_reached() -> None:
    century = tuple(head(number, BEGAN + number * DAY) for number in range(100 * 365))
    heads = next_heads(century, head(100 * 365, BEGAN + 100 * 365 * DAY))
    assert len("".join(one.text for one in heads)) < LARGEST
    assert heads[-1].checkpoint.at - heads[0].checkpoint.at > 50 * 365 * DAY
    assert len(days(heads[-460:])) == 460


@given(st.lists(st.integers(0, 40 * HOUR), min_size=1, max_size=150))
def test_whatever_the_times_the_newest_are_there_once_and_in_their_order(steps: list[int]) -> None:
    heads: tuple[SignedCheckpoint, ...] = ()
    given_heads = []
    at = BEGAN
    for batch, step in enumerate(steps):
        at += step
        given_heads.append(head(batch, at))
        heads = next_heads(heads, given_heads[-1])
        assert next_heads(heads, given_heads[-1]) == heads
    assert list(heads[-60:]) == given_heads[-60:]
    batches = [one.checkpoint.head.batch for one in heads]
    assert batches == sorted(set(batches))
    assert days(heads) == days(tuple(given_heads))


def test_heads_of_another_ledger_stay_beside_those_of_this_one() -> None:
    heads: tuple[SignedCheckpoint, ...] = (head(7, BEGAN, ledger="f" * 32),)
    for number in range(200):
        heads = next_heads(heads, head(number, BEGAN + number * MINUTE))
    assert heads[0].checkpoint.ledger == "f" * 32


async def test_the_first_head_makes_it_and_later_ones_are_added() -> None:
    cluster = FakeConfigMaps()
    kept = HeadConfigMap(cluster, "usage", "heads")
    first, second = head(1, BEGAN), head(2, BEGAN + MINUTE)
    for newest in (first, second, second):
        await kept.keep(newest)
    data = cluster.config_maps["usage", "heads"]["data"]
    assert split_checkpoints(data["checkpoints"]) == [first, second]
    assert data["newest"] == second.text
    assert cluster.writes == 2


async def test_what_others_wrote_into_it_stays() -> None:
    cluster = FakeConfigMaps()
    kept = HeadConfigMap(cluster, "usage", "heads")
    await kept.keep(head(1, BEGAN))
    there = cluster.config_maps["usage", "heads"]
    there["data"]["note"] = "ask finance"
    there["metadata"]["labels"]["team"] = "finance"
    await kept.keep(head(2, BEGAN + MINUTE))
    there = cluster.config_maps["usage", "heads"]
    assert there["data"]["note"] == "ask finance"
    assert there["metadata"]["labels"]["team"] == "finance"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("empty, since Monday", id="other words"),
        pytest.param(head(1, BEGAN).text[:-20], id="a head that was cut off"),
    ],
)
async def test_what_is_no_list_of_heads_is_left_as_it_is(text: str) -> None:
    cluster = FakeConfigMaps()
    kept = HeadConfigMap(cluster, "usage", "heads")
    await kept.keep(head(1, BEGAN))
    cluster.config_maps["usage", "heads"]["data"]["checkpoints"] = text
    with pytest.raises(ClusterError, match="ConfigMap usage/heads, checkpoints: expected"):
        await kept.keep(head(2, BEGAN + MINUTE))
    assert cluster.config_maps["usage", "heads"]["data"]["checkpoints"] == text
