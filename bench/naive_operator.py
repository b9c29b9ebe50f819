"""The operator that one writes first: a kopf daemon an object, httpx, a merge patch each tick.

Measured beside the real one to show what its design is worth. It is spared what it would do at each
tick as well (list the pods, judge conditions): it finds its pod once. Not measured beyond 2,000
objects: one event loop then serves thousands of daemons, and httpx searches its pool for each.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import httpx
import kopf

from bench.child import answer, answer_until_end, first_line
from bench.estate import INTERVAL, PORT, Api

_RESOURCE = ("agentspec.io", "v1", "agentobservations")


class Naive:
    """The shared clients and the counts since ``begin``."""

    def __init__(self, api: Api) -> None:
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20)
        self._agents = httpx.AsyncClient(trust_env=False, timeout=10, limits=limits)
        self._server = httpx.AsyncClient(
            base_url=api.url,
            verify=_context(api),
            headers={"Authorization": f"Bearer {api.token}"},
            trust_env=False,
            timeout=30,
        )
        self.scrapes = self.patches = self.failures = 0
        self.seen: set[str] = set()

    def report(self, question: str) -> dict[str, object]:
        found: dict[str, object] = {
            "scrapes": self.scrapes,
            "patches": self.patches,
            "failures": self.failures,
            "seen": len(self.seen),
        }
        if question == "begin":
            self.scrapes = self.patches = self.failures = 0
        return found

    async def tick(self, namespace: str, name: str, address: str) -> None:
        try:
            answered = await self._agents.get(f"http://{address}:{PORT}/agentspec/usage")
            usage = answered.json()
            self.scrapes += 1
            totals = usage["totals"]
            status = {
                "lastChecked": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "usage": {
                    "totalTokens": usage["totalTokens"],
                    "inputTokens": totals["input"],
                    "outputTokens": totals["output"],
                },
            }
            group, version, plural = _RESOURCE
            patched = await self._server.patch(
                f"/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}/status",
                json={"status": status},
                headers={"Content-Type": "application/merge-patch+json"},
            )
            patched.raise_for_status()
            self.patches += 1
            self.seen.add(name)
        except httpx.HTTPError:
            self.failures += 1

    async def address_of(self, namespace: str, name: str) -> str:
        answered = await self._server.get(
            f"/api/v1/namespaces/{namespace}/pods",
            params={"labelSelector": f"agentspec.io/agent={name}"},
        )
        answered.raise_for_status()
        return str(answered.json()["items"][0]["status"]["podIP"])


def _context(api: Api) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=api.certificate)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


async def main() -> None:
    """Run until the parent is done."""
    config = first_line()
    naive = Naive(Api(**config["api"]))
    registry = kopf.OperatorRegistry()
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False

    async def watch_agent(
        stopped: kopf.DaemonStopped, namespace: str | None, name: str | None, **_: Any
    ) -> None:
        assert namespace is not None
        assert name is not None
        address = await naive.address_of(namespace, name)
        # As a timer would: at a time of its own within the interval.
        await stopped.wait(hash(name) % 1000 / 1000 * INTERVAL)
        while not stopped:
            await naive.tick(namespace, name, address)
            await stopped.wait(INTERVAL)

    kopf.daemon(*_RESOURCE, registry=registry, id="watch-agent", cancellation_timeout=1)(
        watch_agent
    )
    kopf.on.login(registry=registry, id="login")(kopf.login_with_kubeconfig)
    stop = asyncio.Event()
    watching = asyncio.create_task(
        kopf.operator(
            registry=registry, settings=settings, clusterwide=True, standalone=True, stop_flag=stop
        )
    )
    answer({})
    await answer_until_end(naive.report)
    stop.set()
    await asyncio.wait([watching], timeout=5)


if __name__ == "__main__":
    asyncio.run(main())
