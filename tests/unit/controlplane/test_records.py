"""Frames over HTTP: answered when they are durable, bounded before they are read."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.frame import Frame
from agentspec_usage.wire.records_encoding import MAX_RECORDS_BODY, encode_frame, encode_records
from tests.unit.controlplane.planes import Plane, running_plane
from tests.unit.store.values import INSTANCE, OTHER_INSTANCE, frame, record, rows

PATH = "/usage/records"


def body_of(*frames: Frame) -> bytes:
    return encode_records([encode_frame(one) for one in frames])


def durable(**seqs: int) -> dict[str, Any]:
    return {"durable": [{"instanceId": key, "seq": seq} for key, seq in seqs.items()], "gaps": []}


async def test_frames_are_answered_with_what_is_durable(plane: Plane, tmp_path: Path) -> None:
    headers = await plane.bearer()
    body = body_of(frame(0, 3), frame(0, 1, instance_id=OTHER_INSTANCE))
    answer = await plane.http.post(PATH, content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.json() == durable(**{INSTANCE: 3, OTHER_INSTANCE: 1})
    assert rows(str(tmp_path / "usage.db"), "SELECT count(*) FROM items") == [(4,)]
    assert plane.counted("agentspec_items_stored_total") == 4


async def test_a_gap_is_answered_with_what_is_there(plane: Plane) -> None:
    headers = await plane.bearer()
    await plane.http.post(PATH, content=body_of(frame(0, 2)), headers=headers)
    answer = await plane.http.post(PATH, content=body_of(frame(5, 6)), headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {"durable": [], "gaps": [{"instanceId": INSTANCE, "have": 2}]}
    assert plane.counted("agentspec_frame_gaps_total") == 1


async def test_other_bytes_for_the_same_calls_are_told_and_counted(
    plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    headers = await plane.bearer()
    await plane.http.post(PATH, content=body_of(frame(0, 1)), headers=headers)
    other = frame(0, 1, record(1, counts=TokenCounts(input=9, calls=1)))
    answer = await plane.http.post(PATH, content=body_of(other), headers=headers)
    assert answer.json() == durable(**{INSTANCE: 1})
    assert plane.counted("agentspec_frame_conflicts_total") == 1
    assert "a frame came again in other bytes: the first stays" in caplog.messages


async def test_one_agents_key_reaches_nothing_of_anothers(plane: Plane) -> None:
    mine, theirs = await plane.bearer("mine"), await plane.bearer("theirs")
    await plane.http.post(PATH, content=body_of(frame(0, 3)), headers=mine)
    answer = await plane.http.post(PATH, content=body_of(frame(3, 4)), headers=theirs)
    assert answer.json() == {"durable": [], "gaps": [{"instanceId": INSTANCE, "have": 0}]}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "Bearer"}, id="empty"),
        pytest.param({"Authorization": "Basic YTpi"}, id="another scheme"),
        pytest.param({"Authorization": f"Bearer ask_{'0' * 32}_{'0' * 64}"}, id="unknown"),
        pytest.param({"Authorization": f"Bearer {'x' * 8000}"}, id="long"),
        pytest.param({"X-Admin-Key": "an admin key of the tests"}, id="the administrator's"),
    ],
)
async def test_without_a_good_key_nothing_is_taken(plane: Plane, headers: dict[str, str]) -> None:
    answer = await plane.http.post(PATH, content=body_of(frame(0, 1)), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_key_with_another_secret_is_no_key(plane: Plane) -> None:
    key = (await plane.bearer())["Authorization"]
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    answer = await plane.http.post(PATH, content=b"", headers={"Authorization": wrong})
    assert answer.status_code == 401


async def test_gzip_is_taken(plane: Plane) -> None:
    headers = {**await plane.bearer(), "Content-Encoding": "gzip"}
    answer = await plane.http.post(
        PATH, content=gzip.compress(body_of(frame(0, 3))), headers=headers
    )
    assert answer.json() == durable(**{INSTANCE: 3})


BOMB = gzip.compress(b" " * (64 * MAX_RECORDS_BODY))
SMALL = gzip.compress(b'{"frames": []}')


@pytest.mark.parametrize(
    ("content", "encoding", "status"),
    [
        pytest.param(b" " * (MAX_RECORDS_BODY + 1), "identity", 413, id="too large"),
        pytest.param(BOMB, "gzip", 413, id="small, and huge when inflated"),
        pytest.param(gzip.compress(b" " * (MAX_RECORDS_BODY + 1)), "gzip", 413, id="a byte more"),
        pytest.param(SMALL[:-9], "gzip", 422, id="gzip that breaks off"),
        pytest.param(SMALL + SMALL, "gzip", 422, id="two gzip streams"),
        pytest.param(b"no gzip", "gzip", 422, id="no gzip"),
        pytest.param(zlib.compress(b'{"frames": []}'), "gzip", 422, id="deflate called gzip"),
        pytest.param(b"x", "br", 415, id="brotli"),
        pytest.param(SMALL, "gzip, gzip", 415, id="stacked"),
        pytest.param(b"", "identity", 422, id="empty"),
        pytest.param(b'{"frames": 3}', "identity", 422, id="no list"),
        pytest.param(b'{"frames": [{}]}', "identity", 422, id="no frame"),
    ],
)
async def test_a_body_out_of_bounds_is_refused(
    plane: Plane, content: bytes, encoding: str, status: int
) -> None:
    headers = {**await plane.bearer(), "Content-Encoding": encoding}
    answer = await plane.http.post(PATH, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


async def test_a_declared_size_is_refused_before_a_byte_is_read(plane: Plane) -> None:
    read = False

    async def body() -> Any:
        nonlocal read
        read = True
        yield b"x"

    headers = {**await plane.bearer(), "Content-Length": str(MAX_RECORDS_BODY + 1)}
    answer = await plane.http.post(PATH, content=body(), headers=headers)
    assert answer.status_code == 413
    assert not read


async def test_a_size_that_is_not_declared_is_counted_while_it_comes(plane: Plane) -> None:
    pieces = 0

    async def body() -> Any:
        nonlocal pieces
        for _ in range(100):
            pieces += 1
            yield b" " * 65_536

    answer = await plane.http.post(PATH, content=body(), headers=await plane.bearer())
    assert answer.status_code == 413
    assert pieces == 17, "sixteen pieces are a MiB, the next one is too much"


async def test_a_wrong_field_is_named_and_what_stood_there_is_not(plane: Plane) -> None:
    document = json.loads(encode_frame(frame(0, 2)))
    document["items"][1]["input"] = "sk-canary"
    answer = await plane.http.post(PATH, json={"frames": [document]}, headers=await plane.bearer())
    assert answer.status_code == 422
    assert "items[1]" in answer.json()["field"]
    assert "sk-canary" not in answer.text


async def test_requests_of_one_key_are_limited_and_anothers_are_not(tmp_path: Path) -> None:
    settings = ControlPlaneSettings(request_rate=2, request_burst=3)
    async with running_plane(tmp_path / "usage.db", settings) as plane:
        mine, theirs = await plane.bearer("mine"), await plane.bearer("theirs")
        body = body_of(frame(0, 1))
        statuses = [
            (await plane.http.post(PATH, content=body, headers=mine)).status_code for _ in range(4)
        ]
        assert statuses == [200, 200, 200, 429]
        assert (await plane.http.post(PATH, content=body, headers=theirs)).status_code == 200
        plane.clock.pass_seconds(0.5)
        assert (await plane.http.post(PATH, content=body, headers=mine)).status_code == 200


async def test_an_answer_that_waits_too_long_for_the_commit_releases_nothing(
    tmp_path: Path,
) -> None:
    settings = ControlPlaneSettings(commit_wait=0.05)
    database = tmp_path / "usage.db"
    async with running_plane(database, settings) as plane:
        headers = await plane.bearer()
        await plane.http.post(PATH, content=body_of(frame(0, 2)), headers=headers)
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = await plane.http.post(PATH, content=body_of(frame(2, 5)), headers=headers)
            assert answer.status_code == 202
            assert answer.json() == durable(**{INSTANCE: 2})
            other.execute("ROLLBACK")
        again = await plane.http.post(PATH, content=body_of(frame(2, 5)), headers=headers)
        while again.status_code == httpx.codes.ACCEPTED:
            again = await plane.http.post(PATH, content=body_of(frame(2, 5)), headers=headers)
        assert again.json() == durable(**{INSTANCE: 5})
    assert rows(str(database), "SELECT count(*) FROM items") == [(5,)]
