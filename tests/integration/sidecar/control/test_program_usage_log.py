"""``token-usage.jsonl`` of the running program, when it ends and when its disk is full."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.controlplane.filesystems import small_filesystem
from tests.integration.controlplane.waiting import until
from tests.integration.sdk.provider_server import ProviderServer, provider_server
from tests.integration.sidecar.control.programs import sidecar_program

KIB = 1024


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with provider_server() as running:
        yield running


def test_every_call_is_in_the_file_when_the_program_has_ended(
    tmp_path: Path, provider: ProviderServer
) -> None:
    with sidecar_program(tmp_path, provider.url) as sidecar:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: sidecar.chat(), range(20)))
        streamed = sidecar.chat(stream=True)
        provider.status = 429
        sidecar.chat()
        listed = [entry["requestId"] for entry in sidecar.get("/audit").json()]
        assert sidecar.terminate() == 0
    assert {answer.status_code for answer in (*answers, streamed)} == {200}
    lines = sidecar.token_lines()
    assert {line["request_id"] for line in lines} == set(listed[:-1])
    assert len(lines) == 21
    *whole, last = lines
    assert {line["streaming"] for line in whole} == {False}
    assert last["streaming"] is True
    assert {line["path"] for line in lines} == {"/openai/v1/chat/completions"}
    counts = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")
    assert {tuple(line[name] for name in counts) for line in lines} == {(1000, 500, 800, 300)}


def test_a_full_disk_breaks_no_call_and_the_log_goes_on_when_there_is_room(
    tmp_path: Path, provider: ProviderServer
) -> None:
    with small_filesystem(tmp_path, 16 * KIB) as (directory, ballast):
        with (directory / "filler").open("wb", buffering=0) as filler:
            filler.write(bytes(16 * KIB))
        with sidecar_program(tmp_path, provider.url, token_logs=directory) as sidecar:
            for _ in range(3):
                assert sidecar.chat().status_code == 200
            dropped = 'usage_log_dropped_total{reason="disk"}'
            until(lambda: sidecar.metric(dropped) == 3, "the lines were refused")
            ready = sidecar.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert sidecar.get("/usage").json()["totalCalls"] == 3
            ballast.unlink()
            assert sidecar.chat().status_code == 200
            until(lambda: sidecar.metric("usage_log_lines_total") == 1, "a line was written")
            assert sidecar.get("/health/ready").json()["status"] == "ready"
            assert sidecar.terminate() == 0
        assert len(sidecar.token_lines()) == 1
