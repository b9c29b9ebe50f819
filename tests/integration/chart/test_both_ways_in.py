"""The definition may come by kubectl or by helm, in either order, and no object is ever lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentspec_usage.devcluster import Cluster, CommandError
from tests.integration.chart.releases import CRD, Releases, chart_of_next_version

pytestmark = [pytest.mark.cluster, pytest.mark.helm]

OBJECTS = ["agentobservation.agentspec.io/support-bot"]


@pytest.fixture
def next_chart(tmp_path: Path) -> Path:
    return chart_of_next_version(tmp_path)


@pytest.mark.usefixtures("bare")
class TestHelmAlone:
    def test_install_brings_the_definition_and_says_nothing_about_kubectl(
        self, releases: Releases
    ) -> None:
        notes = releases.install("usage")
        releases.create_object()
        assert releases.objects() == OBJECTS
        assert "apply -f crds/" not in notes

    def test_upgrade_updates_the_definition_that_the_release_made(
        self, releases: Releases, next_chart: Path
    ) -> None:
        releases.install("usage")
        releases.create_object()
        assert not releases.definition_is_next()
        releases.upgrade("usage", chart=next_chart)
        assert releases.definition_is_next()
        assert releases.objects() == OBJECTS

    def test_uninstall_keeps_definition_and_objects(self, releases: Releases) -> None:
        releases.install("usage")
        releases.create_object()
        assert "kept due to the resource policy" in releases.uninstall("usage")
        assert releases.objects() == OBJECTS

    def test_a_release_that_returns_owns_the_definition_again(
        self, releases: Releases, next_chart: Path
    ) -> None:
        releases.install("usage")
        releases.create_object()
        releases.uninstall("usage")
        releases.install("usage", chart=next_chart)
        assert releases.definition_is_next()
        assert releases.objects() == OBJECTS

    def test_a_release_of_another_name_leaves_it_alone_and_says_whose_it_is(
        self, releases: Releases, next_chart: Path
    ) -> None:
        releases.install("usage")
        releases.create_object()
        releases.uninstall("usage")
        notes = releases.install("metering", chart=next_chart)
        assert "is managed by release usage in namespace agentspec-system" in notes
        assert not releases.definition_is_next()
        releases.uninstall("metering")
        assert releases.objects() == OBJECTS

    def test_without_crds_install_no_definition_comes_and_none_goes(
        self, bare: Cluster, releases: Releases
    ) -> None:
        notes = releases.install("usage", "--set=crds.install=false")
        assert "kubectl apply -f crds/" in notes
        assert bare.kubectl("get", "crd", "-o", "name") == ""

    def test_switching_crds_install_off_deletes_nothing(self, releases: Releases) -> None:
        releases.install("usage")
        releases.create_object()
        releases.upgrade("usage", "--set=crds.install=false")
        assert releases.objects() == OBJECTS


@pytest.mark.usefixtures("bare")
class TestKubectlAsWell:
    def test_first_kubectl_then_helm(self, releases: Releases, next_chart: Path) -> None:
        releases.apply_definition()
        releases.create_object()
        notes = releases.install("usage", chart=next_chart)
        assert "is managed by kubectl apply" in notes
        releases.upgrade("usage", chart=next_chart)
        assert not releases.definition_is_next()
        releases.uninstall("usage")
        assert releases.objects() == OBJECTS

    @pytest.mark.parametrize(
        "how",
        [
            pytest.param([], id="in kubectl"),
            pytest.param(["--server-side", "--force-conflicts"], id="in the server"),
        ],
    )
    def test_first_helm_then_kubectl_which_has_the_definition_from_then_on(
        self, releases: Releases, next_chart: Path, how: list[str]
    ) -> None:
        releases.install("usage", chart=next_chart)
        releases.create_object()
        releases.apply_definition(*how)
        assert not releases.definition_is_next()
        assert "is managed by kubectl apply" in releases.upgrade("usage", chart=next_chart)
        assert not releases.definition_is_next()
        assert releases.objects() == OBJECTS
        releases.uninstall("usage")
        assert releases.objects() == OBJECTS

    def test_helm_uninstalls_right_after_kubectl_took_over(self, releases: Releases) -> None:
        releases.install("usage")
        releases.create_object()
        releases.apply_definition()
        releases.uninstall("usage")
        assert releases.objects() == OBJECTS

    def test_an_edit_by_hand_is_a_conflict_that_helm_can_be_told_to_win(
        self, releases: Releases, next_chart: Path
    ) -> None:
        releases.install("usage")
        releases.create_object()
        field = "/spec/versions/0/schema/openAPIV3Schema/description"
        edit = json.dumps([{"op": "replace", "path": field, "value": "By hand."}])
        releases.cluster.kubectl("patch", "crd", CRD, "--type=json", "-p", edit)
        with pytest.raises(CommandError, match="conflict"):
            releases.upgrade("usage", chart=next_chart)
        releases.upgrade("usage", "--force-conflicts", chart=next_chart)
        assert releases.definition_is_next()
        assert releases.objects() == OBJECTS

    def test_an_upgrade_meets_the_status_that_was_counted(self, releases: Releases) -> None:
        releases.install("usage")
        releases.create_object()
        patch = '{"status":{"phase":"Healthy"}}'
        releases.cluster.kubectl(
            "-n", "team-a", "patch", "ao", "support-bot", "--subresource=status", "--type=merge",
            "-p", patch,
        )  # fmt: skip
        releases.uninstall("usage")
        releases.install("metering")
        phase = releases.cluster.kubectl(
            "-n", "team-a", "get", "ao", "support-bot", "-o", "jsonpath={.status.phase}"
        )
        assert phase == "Healthy"
