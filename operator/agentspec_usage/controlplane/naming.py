"""Finding the agent that a path names.

A name is unique within its namespace only. A path that names one of several must say which; the
only one of its name needs no more than the name.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.requests import Request

from agentspec_usage.controlplane.shapes import AGENT_NAME
from agentspec_usage.errors import WireError
from agentspec_usage.serving.problems import Refusal
from agentspec_usage.store.ingest import IngestStore
from agentspec_usage.store.values import Agent

__all__ = ["find_agent"]

_NAME = re.compile(AGENT_NAME.removesuffix("$"))


async def find_agent(store: IngestStore, request: Request) -> Agent:
    """The agent of ``{name}`` and, if given, ``?namespace=``."""
    name = _label(request.path_params["name"], "name")
    namespace = request.query_params.get("namespace")
    found = await store.agents_named(name)
    if namespace is not None:
        _label(namespace, "namespace")
        found = [agent for agent in found if agent.namespace == namespace]
    if not found:
        raise Refusal(HTTPStatus.NOT_FOUND, "no agent of this name is registered")
    if len(found) > 1:
        raise WireError("namespace", "?namespace= of the agent: several have this name")
    return found[0]


def _label(text: str, path: str) -> str:
    if not _NAME.fullmatch(text):
        raise WireError(path, "an RFC 1123 label: lower case, digits and -, at most 63")
    return text
