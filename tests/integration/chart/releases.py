"""Releases of the chart on a cluster: install, upgrade, uninstall, and what is there after."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from agentspec_usage.devcluster import Cluster
from tests.contract.crd_schema import ROOT

__all__ = ["CHART", "CRD", "NAMESPACE", "Releases", "chart_of_next_version"]

CHART = ROOT / "charts" / "agentspec-usage"
CRD = "agentobservations.agentspec.io"
NAMESPACE = "agentspec-system"

_NEXT_DESCRIPTION = "The kind of the next version."


class Releases:
    """What helm does, in the namespace of the documentation; answers are helm's own text."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.ensure_namespace(NAMESPACE)
        cluster.ensure_namespace("team-a")

    def install(self, name: str, *arguments: str, chart: Path = CHART) -> str:
        return self._helm("install", name, str(chart), *arguments)

    def upgrade(self, name: str, *arguments: str, chart: Path = CHART) -> str:
        return self._helm("upgrade", name, str(chart), *arguments)

    def uninstall(self, name: str) -> str:
        return self._helm("uninstall", name)

    def uninstall_all(self) -> None:
        for release in json.loads(self._helm("list", "--output=json")):
            self.uninstall(release["name"])

    def remove_kept(self) -> None:
        """Uninstall, and remove what that leaves of a control plane: its keys and its claim."""
        self.uninstall_all()
        where = ("-n", NAMESPACE)
        which = ("-l", "app.kubernetes.io/component=controlplane")
        # Only a controller, which is not here, would lift the claim's protection.
        for claim in self.cluster.kubectl(*where, "get", "pvc", *which, "-o", "name").split():
            free = '{"metadata":{"finalizers":null}}'
            self.cluster.kubectl(*where, "patch", claim, "--type=merge", "-p", free)
        self.cluster.kubectl(*where, "delete", "pvc,secret,configmap", *which)

    def apply_definition(self, *arguments: str) -> None:
        """``kubectl apply -f crds/``, as the documentation says."""
        self.cluster.kubectl("apply", "-f", str(ROOT / "crds"), *arguments)
        self._wait_until_served()

    def create_object(self) -> None:
        """One AgentObservation, which every test expects to find again."""
        self._wait_until_served()
        example = ROOT / "crds" / "examples" / "minimal.yaml"
        self.cluster.kubectl("-n", "team-a", "apply", "-f", str(example))

    def objects(self) -> list[str]:
        listed = self.cluster.kubectl("get", "ao", "--all-namespaces", "-o", "name")
        return listed.split()

    def definition(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cluster.kubectl("get", "crd", CRD, "-o", "json"))
        return found

    def definition_is_next(self) -> bool:
        """Whether the definition is that of ``chart_of_next_version``."""
        schema = self.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        return bool(schema["description"] == _NEXT_DESCRIPTION)

    def _wait_until_served(self) -> None:
        self.cluster.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=20s")

    def _helm(self, *arguments: str) -> str:
        return self.cluster.helm(*arguments, "--namespace", NAMESPACE)


def chart_of_next_version(directory: Path) -> Path:
    """A copy of the chart whose definition differs in a description."""
    chart = directory / "agentspec-usage"
    shutil.copytree(CHART, chart)
    definition = chart / "files" / "agentobservations.yaml"
    text = definition.read_text(encoding="utf-8")
    start = text.index("          description: >-\n            AgentObservation names")
    end = text.index("          required: [spec]")
    changed = f"{text[:start]}          description: {_NEXT_DESCRIPTION}\n{text[end:]}"
    definition.write_text(changed, encoding="utf-8")
    return chart
