"""The sweep finds what a watch missed, and nothing where the watch works."""

from __future__ import annotations

import asyncio

from tests.fakes.cluster_objects import FakeCluster
from tests.fakes.operators import FakeOperator
from tests.fakes.virtual_time import run_in_virtual_time

SPEC = {"agentRef": {"name": "bot"}}


def test_a_working_watch_has_nothing_wrong() -> None:
    async def main() -> None:
        cluster = FakeCluster()
        cluster.apply("a", SPEC)
        operator = FakeOperator(cluster)
        operator.start()
        await asyncio.sleep(5)
        assert await operator.sweep.once() == 0
        assert operator.drift == [0]
        await operator.kill()

    run_in_virtual_time(main)


def test_what_came_went_and_changed_while_the_watch_was_deaf_is_made_good() -> None:
    async def main() -> None:
        cluster = FakeCluster()
        for name in ("stays", "goes", "changes"):
            cluster.apply(name, SPEC)
        operator = FakeOperator(cluster)
        operator.start()
        await asyncio.sleep(5)
        cluster.on_object.clear()
        cluster.delete("goes")
        cluster.apply("changes", {**SPEC, "checkInterval": 77})
        cluster.apply("comes", SPEC)
        assert await operator.sweep.once() == 3
        names = {record.name for record in operator.register}
        assert names == {"stays", "changes", "comes"}
        changed = operator.register.named("team", "changes")
        assert changed is not None
        assert changed.spec is not None
        assert changed.spec.check_interval == 77
        cluster.on_object.append(operator.hear_object)
        await operator.kill()

    run_in_virtual_time(main)


def test_an_event_that_is_on_its_way_is_no_drift() -> None:
    async def main() -> None:
        cluster = FakeCluster()
        cluster.seconds = 1
        cluster.apply("a", SPEC)
        operator = FakeOperator(cluster)
        operator.start()
        await asyncio.sleep(20)
        sweeping = asyncio.create_task(operator.sweep.once())
        await asyncio.sleep(0.5)
        cluster.label("a")  # the list shows it, and so does the watch
        assert await sweeping == 0
        await operator.kill()

    run_in_virtual_time(main)
