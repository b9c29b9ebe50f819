"""Of several control planes one does the work, and each that loses the Lease stands again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agentspec_usage.controlplane.leading import while_leading
from agentspec_usage.kube.lease import Elector, LeaseTerms
from tests.fakes.kube import FakeLeases, Line
from tests.fakes.virtual_time import VirtualClock, run_in_virtual_time


def test_the_work_goes_to_whoever_can_hold_the_lease_and_back() -> None:
    async def main() -> None:
        leases = FakeLeases()
        lines = {name: Line(leases) for name in "ab"}
        working: list[str] = []

        def standing(name: str) -> Callable[[], Elector]:
            terms = LeaseTerms("ns", "lease", name)
            return lambda: Elector(lines[name], terms, VirtualClock())

        def work(name: str) -> Callable[[], Coroutine[Any, Any, None]]:
            async def works() -> None:
                working.append(name)
                try:
                    await asyncio.Event().wait()
                finally:
                    working.remove(name)

            return works

        planes = [asyncio.create_task(while_leading(standing(name), work(name))) for name in "ab"]
        await asyncio.sleep(5)
        seen = [list(working)]
        for cut, whole in (("a", "b"), ("b", "a")):
            lines[cut].cut, lines[whole].cut = True, False
            await asyncio.sleep(60)
            seen.append(list(working))
        assert seen == [["a"], ["b"], ["a"]]

        for plane in planes:
            plane.cancel()
        await asyncio.gather(*planes, return_exceptions=True)
        assert working == []
        assert leases.lease is not None
        assert leases.lease["spec"]["holderIdentity"] == "", "it is given back at the end"

    run_in_virtual_time(main)
