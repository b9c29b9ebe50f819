"""``GET /usage`` shows the pod's one ledger; ``POST /usage/records`` feeds it."""

from __future__ import annotations

import gzip

import httpx
import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.sidecar.calls import LedgerFacts
from agentspec_usage.wire.records_encoding import MAX_RECORDS_BODY, encode_frame, encode_records
from agentspec_usage.wire.usage import decode_usage
from tests.unit.sidecar.control.ports import ELSEWHERE, Sidecar, spoken_to
from tests.unit.sidecar.proxied import a_request

SDK = "5" * 32
GPT = SeriesKey("openai", "gpt-5")


@pytest.fixture
def body() -> bytes:
    """A frame of one call, as an SDK sends it."""
    counts = TokenCounts(input=7, output=3, calls=1)
    record = UsageRecord(1, 1_790_000_000_000, GPT, counts)
    return encode_records([encode_frame(Frame(SDK, Observer.SDK, 0, 1, counts, (record,)))])


@pytest.mark.parametrize("path", ["/usage", "/agentspec/usage"])
async def test_usage_is_the_ledger_s_snapshot_and_says_where_it_comes_from(
    sidecar: Sidecar, http: httpx.AsyncClient, path: str
) -> None:
    sidecar.ledger.counts[GPT] = TokenCounts(input=100, output=20, calls=2)
    sidecar.ledger.facts_now = LedgerFacts("a" * 32, durable_file=True, source="proxy+sdk")
    sidecar.begin(a_request("r1"))
    sidecar.begin(a_request("r2"))
    answer = await http.get(path)
    assert answer.status_code == 200
    assert decode_usage(answer.content).snapshots == (sidecar.ledger.snapshot(),)
    assert answer.json()["sampleSize"] == 2
    assert answer.json()["source"] == "proxy+sdk"
    assert answer.content == (await http.get(path)).content


async def test_usage_says_when_its_sample_is_not_all_there_was(
    sidecar: Sidecar, http: httpx.AsyncClient
) -> None:
    for number in range(100):
        sidecar.exchange(f"r{number}")
    assert "ringOverwrites" not in (await http.get("/usage")).json()
    sidecar.exchange("one more")
    usage = (await http.get("/usage")).json()
    assert (usage["sampleSize"], usage["ringOverwrites"]) == (100, 1)


async def test_usage_is_read_from_anywhere(sidecar: Sidecar) -> None:
    async with spoken_to(sidecar, peer=ELSEWHERE) as http:
        assert (await http.get("/usage")).status_code == 200


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
async def test_frames_are_answered_as_the_control_plane_does(
    sidecar: Sidecar, http: httpx.AsyncClient, body: bytes, zipped: bool
) -> None:
    content = gzip.compress(body) if zipped else body
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    answer = await http.post("/usage/records", content=content, headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {"durable": [{"instanceId": SDK, "seq": 1}], "gaps": []}
    assert sidecar.ledger.bodies == [body]


async def test_frames_from_elsewhere_are_refused(sidecar: Sidecar, body: bytes) -> None:
    async with spoken_to(sidecar, peer=ELSEWHERE) as http:
        assert (await http.post("/usage/records", content=body)).status_code == 403
    assert sidecar.ledger.bodies == []


async def test_a_ledger_that_keeps_nothing_says_when_to_come_again(
    sidecar: Sidecar, http: httpx.AsyncClient, body: bytes
) -> None:
    sidecar.ledger.unavailable = True
    answer = await http.post("/usage/records", content=body)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        pytest.param(b'{"frames":[{}]}', {}, 422, id="no frame"),
        pytest.param(b"no gzip", {"Content-Encoding": "gzip"}, 422, id="no gzip"),
        pytest.param(b"", {"Content-Encoding": "br"}, 415, id="another coding"),
        pytest.param(b" " * (MAX_RECORDS_BODY + 1), {}, 413, id="too large"),
        pytest.param(
            gzip.compress(bytes(MAX_RECORDS_BODY + 1)),
            {"Content-Encoding": "gzip"},
            413,
            id="too large when inflated",
        ),
    ],
)
async def test_what_is_no_body_of_frames_is_a_problem(
    sidecar: Sidecar,
    http: httpx.AsyncClient,
    content: bytes,
    headers: dict[str, str],
    status: int,
) -> None:
    answer = await http.post("/usage/records", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert sidecar.ledger.bodies == []
