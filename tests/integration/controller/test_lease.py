"""The election on a real API server: its Lease, its conflicts, its validation."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from agentspec_usage.controller.kube import KubeApi
from agentspec_usage.devcluster import Cluster
from agentspec_usage.kube.access import connect
from agentspec_usage.kube.http import KubeHttp
from agentspec_usage.kube.lease import Elector, LeaseTerms
from agentspec_usage.runtime.clock import SystemClock

pytestmark = pytest.mark.cluster

REPLICA = """
import asyncio, sys
from pathlib import Path
from agentspec_usage.controller.kube import KubeApi
from agentspec_usage.kube.access import connect
from agentspec_usage.kube.http import KubeHttp
from agentspec_usage.kube.lease import Elector, LeaseTerms
from agentspec_usage.runtime.clock import SystemClock

async def main(kubeconfig, namespace):
    kube = KubeApi(KubeHttp(await connect(Path(kubeconfig)), user_agent="replica"))
    elector = Elector(kube, LeaseTerms(namespace, "op", "child", 6.0, 4.0, 0.5), SystemClock())
    await elector.lead()
    print("leading", flush=True)
    await elector.lost.wait()

asyncio.run(main(*sys.argv[1:]))
"""


def elector(kube: KubeApi, namespace: str, identity: str) -> Elector:
    return Elector(kube, LeaseTerms(namespace, "op", identity, 15.0, 6.0, 0.5), SystemClock())


async def test_of_many_that_stand_one_leads(kube: KubeApi, namespace: str) -> None:
    electors = [elector(kube, namespace, f"replica-{n}") for n in range(5)]
    standing = [asyncio.create_task(each.lead()) for each in electors]
    await asyncio.wait(standing, return_when=asyncio.FIRST_COMPLETED)

    leading = []
    for _ in range(40):
        leading.append(sum(each.is_leader for each in electors))
        await asyncio.sleep(0.1)

    assert set(leading) <= {0, 1}
    assert 1 in leading

    for task in standing:
        task.cancel()
    for each in electors:
        await each.release()


async def test_a_released_lease_has_no_holder_and_is_taken_by_the_next(
    kube: KubeApi, namespace: str
) -> None:
    first, second = elector(kube, namespace, "a"), elector(kube, namespace, "b")
    await first.lead()
    waiting = asyncio.create_task(second.lead())
    await asyncio.sleep(1)
    assert not waiting.done()

    await first.release()
    async with asyncio.timeout(12):  # shorter than the 15 s that an unreleased one takes
        await waiting

    lease = await kube.get_lease(namespace, "op")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "b"
    assert lease["spec"]["leaseTransitions"] == 1
    await second.release()


async def test_a_leader_killed_outright_is_followed_after_its_lease_ran_out(
    kube: KubeApi, namespace: str, cluster: Cluster
) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        REPLICA,
        str(cluster.kubeconfig),
        namespace,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"leading\n"
    heir = elector(kube, namespace, "heir")
    waiting = asyncio.create_task(heir.lead())
    await asyncio.sleep(7)
    assert not waiting.done()

    os.kill(child.pid, signal.SIGKILL)
    await child.wait()
    async with asyncio.timeout(30):
        await waiting

    assert heir.is_leader
    await heir.release()


async def test_a_leader_without_an_api_server_stops_leading(
    kube: KubeApi, namespace: str, cluster: Cluster
) -> None:
    leader = elector(kube, namespace, "a")
    await leader.lead()

    await asyncio.to_thread(cluster.stop_apiserver)
    try:
        async with asyncio.timeout(30):
            await leader.lost.wait()
        assert not leader.is_leader
    finally:
        await asyncio.to_thread(cluster.start_apiserver)


async def test_the_operator_s_own_rights_on_leases_are_enough(
    namespace: str, cluster: Cluster, tmp_path: Path
) -> None:
    """get, create and update: what the election asks for, and nothing that needs more."""
    cluster.kubectl("-n", namespace, "create", "serviceaccount", "op")
    cluster.kubectl(
        *("-n", namespace, "create", "role", "op"),
        *("--verb=get,create,update", "--resource=leases.coordination.k8s.io"),
    )
    cluster.kubectl(
        *("-n", namespace, "create", "rolebinding", "op"),
        *("--role=op", f"--serviceaccount={namespace}:op"),
    )
    kubeconfig = cluster.service_account_kubeconfig(namespace, "op", tmp_path / "op")
    http = KubeHttp(await connect(kubeconfig), user_agent="replica")
    leader = elector(KubeApi(http), namespace, "a")

    async with asyncio.timeout(10):
        await leader.lead()
    await asyncio.sleep(1)
    assert leader.is_leader
    await leader.release()
    await http.close()
