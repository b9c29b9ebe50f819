"""The upstreams file: where the proxy may forward to, and what may be spent there. YAML or JSON.

Nothing that an agent sends chooses an upstream; this file does, or one URL in the settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from agentspec_usage.errors import SettingsError
from agentspec_usage.extraction.surfaces import SURFACES
from agentspec_usage.sidecar.budget.limits import BudgetLimits
from agentspec_usage.sidecar.proxy.settings import Upstream

__all__ = ["UpstreamsFile", "read_upstreams", "upstream_url"]

_LARGEST_FILE = 256 * 1024


def upstream_url(text: str) -> str:
    """``text`` if it is an address that can be forwarded to. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an http or https URL with a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("expected a URL without user, query and fragment")
    return text


def _known_surface(name: str) -> str:
    # A name that no table has would be a silent way not to meter.
    if name and name not in SURFACES:
        raise ValueError(f"expected one of {', '.join(SURFACES)}")
    return name


class _Shape(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class UpstreamEntry(_Shape):
    """One upstream; see ``proxy.settings.Upstream``."""

    provider: str = Field(min_length=1, max_length=64)
    url: Annotated[str, AfterValidator(upstream_url)]
    prefix: str = Field("/", pattern=r"^/[A-Za-z0-9._~/-]{0,127}$")
    surface: Annotated[str, AfterValidator(_known_surface)] = ""
    inject_include_usage: bool = True
    timeout_seconds: float = Field(600.0, gt=0, le=86_400)

    def upstream(self) -> Upstream:
        return Upstream(
            self.provider,
            self.url,
            self.prefix,
            self.surface,
            self.inject_include_usage,
            self.timeout_seconds,
        )


class UpstreamsFile(_Shape):
    """The whole file."""

    upstreams: tuple[UpstreamEntry, ...] = Field(min_length=1, max_length=64)
    budgets: BudgetLimits = BudgetLimits()

    @model_validator(mode="after")
    def _prefixes_differ(self) -> Self:
        seen: set[str] = set()
        for entry in self.upstreams:
            prefix = entry.prefix.rstrip("/")
            if prefix in seen:
                raise ValueError(f"prefix {entry.prefix} stands twice: expected each once")
            seen.add(prefix)
        return self


def read_upstreams(path: Path) -> UpstreamsFile:
    """The file at ``path``. Raises SettingsError, which names the field and the expectation."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}: expected the upstreams file") from error
    if len(content) > _LARGEST_FILE:
        raise SettingsError(f"{path}: expected at most {_LARGEST_FILE} bytes")
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark is not None else ""
        raise SettingsError(f"{path}{where}: expected YAML or JSON") from error
    try:
        return UpstreamsFile.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        expected = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{path}: {field or 'file'}: {expected}") from error
