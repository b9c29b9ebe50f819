"""The client on a real API server: what a write does, what a refusal means, what a list brings."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentspec_usage.controller.kube import KubeApi, pods_path
from agentspec_usage.controller.pods import project
from agentspec_usage.devcluster import Cluster
from agentspec_usage.kube.access import connect
from agentspec_usage.kube.errors import ApiError
from agentspec_usage.kube.http import KubeHttp
from agentspec_usage.kube.status_write import WriteResult
from tests.contract.statuses import usage
from tests.integration.controller.conftest import Admin

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("observations_defined")]


def status(tokens: int, **fields: Any) -> dict[str, Any]:
    return {
        "observedGeneration": 1,
        "usage": usage(
            totalTokens=tokens,
            inputTokens=tokens,
            outputTokens=0,
            cacheReadTokens=0,
            cacheWriteTokens=0,
            reasoningTokens=0,
        ),
        **fields,
    }


async def write(kube: KubeApi, read: dict[str, Any], tokens: int) -> WriteResult:
    """Write for the object as it was read."""
    metadata = read["metadata"]
    return await kube.patch_status(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        metadata["resourceVersion"],
        status(tokens),
    )


async def tokens_of(kube: KubeApi, namespace: str, name: str) -> int | None:
    found = await kube.get_observation(namespace, name)
    assert found is not None
    tokens: int | None = found.get("status", {}).get("usage", {}).get("totalTokens")
    return tokens


async def test_a_write_stores_the_status_and_gives_the_version_for_the_next_one(
    kube: KubeApi, admin: Admin
) -> None:
    read = await admin.create_observation("web")

    first = await write(kube, read, 10)
    assert first.kind == "written"
    assert first.object is not None
    assert first.object["metadata"]["uid"] == read["metadata"]["uid"]
    assert first.object["status"] == status(10)
    second = await write(kube, dict(first.object), 11)

    assert second.kind == "written"
    assert await tokens_of(kube, admin.namespace, "web") == 11


async def test_a_write_computed_from_an_older_version_conflicts_and_changes_nothing(
    kube: KubeApi, admin: Admin
) -> None:
    read = await admin.create_observation("web")
    assert (await write(kube, read, 10)).kind == "written"

    assert (await write(kube, read, 99)).kind == "conflict"
    assert await tokens_of(kube, admin.namespace, "web") == 10


async def test_an_object_made_again_under_its_name_never_gets_the_old_one_s_numbers(
    kube: KubeApi, admin: Admin
) -> None:
    old = await admin.create_observation("web")
    await admin.delete_observation("web")
    new = await admin.create_observation("web")
    version = new["metadata"]["resourceVersion"]
    old_uid_new_version = {"metadata": old["metadata"] | {"resourceVersion": version}}

    assert (await write(kube, old, 10)).kind == "gone"
    assert (await write(kube, old_uid_new_version, 10)).kind == "gone"
    assert await tokens_of(kube, admin.namespace, "web") is None


async def test_a_write_to_a_deleted_object_says_gone(kube: KubeApi, admin: Admin) -> None:
    read = await admin.create_observation("web")
    await admin.delete_observation("web")

    assert (await write(kube, read, 10)).kind == "gone"


async def test_a_status_that_breaks_a_rule_is_invalid_and_says_which(
    kube: KubeApi, admin: Admin
) -> None:
    read = await admin.create_observation("web")
    written = (await write(kube, read, 10)).object
    assert written is not None

    falling = await write(kube, dict(written), 9)
    malformed = await kube.patch_status(
        admin.namespace,
        "web",
        read["metadata"]["uid"],
        written["metadata"]["resourceVersion"],
        {"usage": {"totalTokens": "many"}},
    )

    assert (falling.kind, malformed.kind) == ("invalid", "invalid")
    assert "totalTokens" in malformed.message


async def test_two_writers_of_one_version_are_one_written_and_one_conflict(
    kube: KubeApi, admin: Admin
) -> None:
    read = await admin.create_observation("web")

    results = await asyncio.gather(*(write(kube, read, 10 + n) for n in range(6)))

    assert Counter(result.kind for result in results) == {"written": 1, "conflict": 5}


async def test_a_list_of_many_pages_brings_each_pod_once(http: KubeHttp, admin: Admin) -> None:
    names = {f"pod-{n:03}" for n in range(520)}
    gate = asyncio.Semaphore(8)

    async def create(name: str) -> None:
        async with gate:
            await admin.create_pod(name)

    await asyncio.gather(*map(create, names))

    for page_size in (500, 50):
        listing = await KubeApi(http, page_size=page_size).list_all(
            pods_path(admin.namespace), project
        )
        assert sorted(pod.name for pod in listing.items) == sorted(names)
        assert int(listing.resource_version) > 0
    metadata = await KubeApi(http).list_pod_metadata(admin.namespace)
    assert {entry["metadata"]["name"] for entry in metadata} == names
    assert all("spec" not in entry for entry in metadata)


async def test_metadata_of_the_objects_of_some_namespaces_or_of_all(
    kube: KubeApi, admin: Admin, cluster: Cluster
) -> None:
    created = await admin.create_observation("web")
    uid = created["metadata"]["uid"]

    def uids(found: list[dict[str, Any]]) -> set[str]:
        return {entry["metadata"]["uid"] for entry in found}

    assert uids(await kube.list_observation_metadata([admin.namespace])) == {uid}
    assert uids(await kube.list_observation_metadata(["default"])) == set()
    assert uid in uids(await kube.list_observation_metadata())


async def test_a_read_of_what_does_not_exist_is_none(kube: KubeApi, namespace: str) -> None:
    assert await kube.get_observation(namespace, "nobody") is None
    assert await kube.get_pod(namespace, "nobody") is None
    assert await kube.get_service(namespace, "nobody") is None
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        assert await kube.get_workload(kind, namespace, "nobody") is None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("../../../../api/v1/secrets", id="path"),
        pytest.param("..", id="dots"),
        pytest.param("web?watch=1", id="query"),
        pytest.param("web%2Fstatus", id="escaped"),
        pytest.param("Web", id="upper-case"),
        pytest.param("", id="empty"),
        pytest.param("a" * 254, id="too-long"),
    ],
)
async def test_a_name_that_is_no_name_is_not_asked_for(
    cluster: Cluster, namespace: str, name: str
) -> None:
    asked: list[str] = []
    access = await connect(cluster.kubeconfig)
    http = KubeHttp(access, user_agent="x", on_request=lambda method, code: asked.append(code))

    assert await KubeApi(http).get_workload("Service", namespace, name) is None
    assert asked == []
    await http.close()


@pytest.fixture
async def codes(cluster: Cluster) -> AsyncIterator[tuple[KubeHttp, list[str]]]:
    told: list[str] = []
    http = KubeHttp(
        await connect(cluster.kubeconfig),
        user_agent="x",
        timeout=5.0,
        on_request=lambda method, code: told.append(f"{method} {code}"),
    )
    yield http, told
    await http.close()


async def test_each_answer_is_told_by_its_code(codes: tuple[KubeHttp, list[str]]) -> None:
    http, told = codes

    await http.json("GET", "/version")
    await KubeApi(http).get("/apis/agentspec.io/v1/namespaces/default/agentobservations/none")

    assert told == ["GET 200", "GET 404"]


async def test_an_api_server_that_is_away_is_an_error_without_a_status(
    cluster: Cluster, codes: tuple[KubeHttp, list[str]]
) -> None:
    http, told = codes
    await asyncio.to_thread(cluster.stop_apiserver)
    try:
        with pytest.raises(ApiError) as caught:
            await KubeApi(http).get("/version")
        result = await KubeApi(http).patch_status("default", "web", "u", "1", {})
    finally:
        await asyncio.to_thread(cluster.start_apiserver)

    assert caught.value.status == 0
    assert result.kind == "failed"
    assert told == ["GET <error>", "PATCH <error>"]
    await KubeApi(http).get("/version")


def with_token(cluster: Cluster, token: str, path: Path) -> Path:
    """The cluster's kubeconfig with another token in it."""
    path.write_text(cluster.kubeconfig.read_text().replace(cluster.state.token, token))
    return path


async def test_refused_credentials_are_read_again_and_the_request_repeated(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    path = with_token(cluster, "expired", tmp_path / "kubeconfig")
    access = await connect(path)
    with_token(cluster, cluster.state.token, path)
    codes: list[str] = []
    http = KubeHttp(access, user_agent="x", on_request=lambda method, code: codes.append(code))

    assert await KubeApi(http).get_pod(namespace, "nobody") is None
    assert codes == ["401", "404"]
    await http.close()


async def test_credentials_that_stay_wrong_are_an_error_and_no_loop(
    cluster: Cluster, tmp_path: Path
) -> None:
    path = with_token(cluster, "wrong", tmp_path / "kubeconfig")
    codes: list[str] = []
    http = KubeHttp(
        await connect(path), user_agent="x", on_request=lambda method, code: codes.append(code)
    )

    with pytest.raises(ApiError, match="401"):
        await KubeApi(http).get("/api/v1/namespaces/default")
    assert codes == ["401", "401"]
    await http.close()
