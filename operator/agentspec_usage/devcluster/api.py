"""The few calls to the API server that a cluster needs before any client of the user's comes.

Synchronous httpx, pinned to one server: its certificate is the only authority, and proxies of the
environment are not used, so that neither token nor request can go anywhere else.
"""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import Any

import httpx

from agentspec_usage.devcluster.errors import DevclusterError
from agentspec_usage.devcluster.state import ClusterState, Layout

__all__ = ["connect", "create_token", "ensure_namespace", "is_ready", "server_version"]

_REQUEST_SECONDS = 10.0


def connect(state: ClusterState, layout: Layout) -> httpx.Client:
    """A client with the administrator's token, for a server that has made its certificate."""
    context = ssl.create_default_context(cafile=layout.certificate)
    # Python 3.13 checks strictly, and the server's own certificate lacks a key identifier.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return httpx.Client(
        base_url=state.url,
        headers={"Authorization": f"Bearer {state.token}"},
        verify=context,
        trust_env=False,
        timeout=_REQUEST_SECONDS,
    )


def is_ready(state: ClusterState, layout: Layout) -> bool:
    """Whether the server says so itself; one that cannot be reached is not ready."""
    try:
        with connect(state, layout) as client:
            return client.get("/readyz").status_code == HTTPStatus.OK
    except (httpx.TransportError, OSError):
        return False


def server_version(client: httpx.Client) -> str:
    return str(_answer(client.get("/version"))["gitVersion"])


def ensure_namespace(client: httpx.Client, name: str) -> None:
    """The namespace and its ``default`` ServiceAccount, which a controller makes in other clusters.

    Without it, admission refuses every pod of the namespace.
    """
    for path, kind, created in (
        ("/api/v1/namespaces", "Namespace", name),
        (f"/api/v1/namespaces/{name}/serviceaccounts", "ServiceAccount", "default"),
    ):
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": created}}
        response = client.post(path, json=body)
        if response.status_code != HTTPStatus.CONFLICT:
            _answer(response)


def create_token(client: httpx.Client, namespace: str, service_account: str, seconds: int) -> str:
    """A token of the ServiceAccount, valid for ``seconds``."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    return str(_answer(client.post(path, json=body))["status"]["token"])


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_success:
        document: dict[str, Any] = response.json()
        return document
    raise DevclusterError(
        f"{response.request.method} {response.request.url.path}: "
        f"the API server answered {response.status_code}: {response.text[:500]}"
    )
