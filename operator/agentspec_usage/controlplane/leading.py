"""Work that one control plane of several does: the holder of a Lease, for as long as it holds it.

Two that do it at once would do it twice and harm nothing, since every write names the version that
it is based on. So a program that loses the Lease goes on serving, and stands for it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agentspec_usage.kube.lease import Elector

__all__ = ["while_leading"]


async def while_leading(
    elector: Callable[[], Elector], work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Do ``work``, which ends when it is cancelled, in each term that is won; for ever."""
    while True:
        term = elector()
        await term.lead()
        working = asyncio.create_task(work())
        losing = asyncio.create_task(term.lost.wait())
        try:
            await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, losing):
                task.cancel()
            await asyncio.gather(working, losing, return_exceptions=True)
            await term.release()
