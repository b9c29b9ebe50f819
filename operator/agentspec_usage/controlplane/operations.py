"""One declaration an endpoint: from it come the route, its metrics, and its part of the OpenAPI
document, so that none of them can say what another does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["Answer", "Credential", "Handler", "Operation"]

Handler = Callable[[Request], Awaitable[Response]]


class Credential(StrEnum):
    """What a caller must show. The values name OpenAPI's security schemes, of which one will do."""

    ADMIN = "adminKey"
    AGENT = "apiKey"
    ADMIN_OR_AGENT = "adminKey apiKey"
    OPERATOR = "operator"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: what it means, and the model of its body if it has one."""

    meaning: str
    model: type[BaseModel] | None = None
    many: bool = False
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """An endpoint. ``name`` is its operationId and its label in the metrics."""

    name: str
    method: str
    path: str
    handler: Handler
    summary: str
    credential: Credential
    answers: Mapping[HTTPStatus, Answer]
    body: type[BaseModel] | None = None
    problems: tuple[HTTPStatus, ...] = field(default=())
    parameters: type[BaseModel] | None = None
    """What the URL may ask."""
