"""``agentspec-usage devcluster``: its flags. What the verbs do is in ``devcluster_verbs``.

Apart, because the command line is built whole for every command, and the operator's installation
has no need of what the development cluster needs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from agentspec_usage.errors import MissingExtraError

__all__ = ["register"]

_DESCRIPTION = """\
A real Kubernetes API server and etcd on 127.0.0.1: no containers, no root.

The programs come from $KUBEBUILDER_ASSETS, else from a per-user cache, else they are built
with Go, once (about 4 minutes and 5 GiB of disk on two cores). The cluster has a kubeconfig
of its own; yours is neither read nor changed.
"""
_UP_EPILOG = """\
example:
  agentspec-usage devcluster up
  export KUBECONFIG="$(agentspec-usage devcluster kubeconfig)"
  kubectl get namespaces
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its verbs."""
    parser = subparsers.add_parser(
        "devcluster",
        help="run a real Kubernetes API server on this machine, for trying things out",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    starts = _verb(verbs, "up", "start the cluster, or find it running", _UP_EPILOG)
    starts.add_argument(
        "--controller-manager",
        action="store_true",
        help="run kube-controller-manager too: Deployments, garbage collection, namespace deletion",
    )
    starts.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long the API server may take to be ready (default: %(default)g)",
    )
    _verb(verbs, "down", "stop the cluster and remove its data")
    shows = _verb(verbs, "status", "show the cluster; exit code 1 if none runs")
    shows.add_argument("--output", choices=("text", "json"), default="text", help="the form")
    prints = _verb(verbs, "kubeconfig", "print the path of the cluster's kubeconfig")
    prints.add_argument("--raw", action="store_true", help="print its content instead")

    runs = _verb(
        verbs,
        "kubectl",
        "run the kubectl that fits the cluster, on the cluster",
        "example:\n  agentspec-usage devcluster kubectl -- get pods --all-namespaces\n",
    )
    runs.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="kubectl's, after --")

    builds = verbs.add_parser(
        "build", help="build the programs now", description="Build the programs into the cache."
    )
    builds.add_argument(
        "programs",
        nargs="*",
        metavar="PROGRAM",
        help="of kube-apiserver, etcd, kubectl, helm, kube-controller-manager (default: all)",
    )
    builds.add_argument(
        "--ignore-room", action="store_true", help="build even if disk or memory look too small"
    )
    builds.set_defaults(func=_run("build"))


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--name", default="devcluster", help="which cluster, if there are several (%(default)s)"
    )
    parser.add_argument(
        "--dir", type=Path, help="its directory, instead of one of that name in the user's state"
    )
    parser.set_defaults(func=_run(name))
    return parser


def _run(verb: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        try:
            from agentspec_usage.cli.devcluster_verbs import VERBS
        except ModuleNotFoundError as error:
            raise MissingExtraError("the development cluster", "devcluster") from error
        return VERBS[verb](arguments)

    return run
