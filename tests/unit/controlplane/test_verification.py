"""``GET /usage/verify`` tells what the last reading of the journal found, and waits for none."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.controlplane.planes import ADMIN, Plane
from tests.unit.store.values import apply, frame

SECONDS = 20


async def ask(plane: Plane, **asked: Any) -> dict[str, Any]:
    answer = await plane.http.get("/usage/verify", params=asked, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def verified(plane: Plane, **asked: Any) -> dict[str, Any]:
    """What a reading that begins now finds."""
    found = await ask(plane, **asked)
    async with asyncio.timeout(SECONDS):
        while found["state"] == "running":
            await asyncio.sleep(0.01)
            found = await ask(plane)
    return found


async def test_an_untouched_journal_is_found_to_be_so(plane: Plane) -> None:
    await plane.register("web", namespace="red", runtime="k8s")
    (agent,) = await plane.store.agents_named("web")
    await apply(plane.store, agent, frame(0, 3))
    assert (await ask(plane))["ok"] is None, "nobody waits for the first reading"
    found = await verified(plane)
    assert (found["ok"], found["rows"], found["batches"], found["unsignedRows"]) == (True, 3, 1, 3)
    assert found["unsignedPeriods"] == 0


async def test_a_row_that_was_changed_is_named_and_an_old_answer_is_not_given_for_ever(
    plane: Plane,
) -> None:
    await plane.register("web", namespace="red", runtime="k8s")
    (agent,) = await plane.store.agents_named("web")
    await apply(plane.store, agent, frame(0, 3))
    assert (await verified(plane))["ok"] is True
    plane.change("UPDATE items SET input = input - 1 WHERE item = 2")
    assert (await verified(plane))["ok"] is True, "as it was read not long ago"
    plane.clock.pass_seconds(61)
    found = await verified(plane, max_age=60)
    assert (found["ok"], found["finding"]) == (False, "row 2: it is not what was accepted")
