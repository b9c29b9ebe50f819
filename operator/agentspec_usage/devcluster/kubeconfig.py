"""The kubeconfig of one cluster: nothing but this cluster, and nothing that points elsewhere.

JSON is YAML, so the standard library writes it. The server's certificate is its own authority (the
API server made it for itself), so nobody needs ``insecure-skip-tls-verify``.
"""

from __future__ import annotations

import base64
import json

from agentspec_usage.devcluster.state import ClusterState, Layout

__all__ = ["kubeconfig_of"]


def kubeconfig_of(state: ClusterState, layout: Layout, *, token: str) -> str:
    """The file's content for the user whose token this is."""
    name = state.name
    certificate = base64.b64encode(layout.certificate.read_bytes()).decode()
    cluster = {"server": state.url, "certificate-authority-data": certificate}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}
        ],
    }
    return json.dumps(document, indent=2) + "\n"
