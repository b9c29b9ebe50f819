"""litellm, which shares no environment with this project, sees the same through the proxy."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agentspec_usage.sidecar.proxy import Upstream
from tests.fakes.call_meter import until
from tests.integration.sdk.provider_server import provider_server
from tests.integration.sidecar.proxy.proxies import proxy

ROOT = Path(__file__).resolve().parents[4]
PYTHON = ROOT / "build" / "compare" / "bin" / "python"
PROGRAM = Path(__file__).with_name("litellm_calls.py")

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="litellm's environment is missing: run make compare"
)


async def test_litellm_sees_the_same_through_the_proxy() -> None:
    with provider_server() as provider:
        upstreams = [
            Upstream("openai", provider.url, "/openai"),
            Upstream("anthropic", provider.url, "/anthropic"),
        ]
        async with proxy(*upstreams) as through:
            process = await asyncio.create_subprocess_exec(
                str(PYTHON),
                str(PROGRAM),
                f"{provider.url}/v1",
                provider.url,
                f"{through.url}/openai/v1",
                f"{through.url}/anthropic",
                stdout=asyncio.subprocess.PIPE,
                env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HOME": str(ROOT / "build")},
            )
            output, _ = await process.communicate()
            assert process.returncode == 0
            straight, proxied = map(json.loads, output.splitlines())
            assert proxied == straight
            assert [asked.path for asked in provider.asked[:4]] == [
                asked.path for asked in provider.asked[4:]
            ]
            await until(lambda: len(through.meter.ended) == 4)
            totals = [
                call.counts.total
                for end in through.meter.ends
                if end.extraction is not None
                for call in end.extraction.calls
            ]
            assert len(totals) == 4
            assert all(total > 0 for total in totals)
