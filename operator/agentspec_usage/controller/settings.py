"""What the operator can be told, each with its unit and the reason for its default.

The values come from flags and the environment through ``cli``; everything below takes this frozen
value.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from agentspec_usage.wire.program_settings import LogFormat, LogLevel, Port, ProgramSettings

__all__ = ["OperatorSettings"]

_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_Namespace = Annotated[str, Field(pattern=_LABEL)]


class OperatorSettings(ProgramSettings):
    """Settings of ``agentspec-usage operator``."""

    namespaces: tuple[_Namespace, ...] = Field(
        (), description="namespaces to watch, separated by commas; none means the whole cluster"
    )
    kubeconfig: str = Field(
        "", description="kubeconfig file; without it the pod's own ServiceAccount is used"
    )
    leader_elect: bool = Field(
        True, description="hold a Lease before working, so that several replicas can run"
    )
    lease_namespace: str = Field(
        "", description="namespace of the Lease; by default the pod's own namespace"
    )
    lease_name: str = Field(
        "agentspec-usage-operator", pattern=_LABEL, description="name of the Lease"
    )
    identity: str = Field(
        "", max_length=253, description="this replica's name in the Lease; by default the host name"
    )
    write_budget: float = Field(
        50.0,
        gt=0,
        le=1000,
        description="status writes a second at most; each costs the API server about 5 ms of CPU",
    )
    write_min_interval: float = Field(
        15.0,
        ge=0,
        le=3600,
        description="seconds between two writes of one object because of tokens alone",
    )
    scrape_timeout: float = Field(
        5.0, gt=0, le=60, description="seconds for one scrape, from connect to the last byte"
    )
    scrape_concurrency: int = Field(
        64, ge=1, le=4096, description="scrapes under way at once, in all"
    )
    namespace_concurrency: int = Field(
        16,
        ge=1,
        le=4096,
        description="objects of one namespace under way at once, so that dead agents starve nobody",
    )
    failure_threshold: int = Field(
        3, ge=1, le=100, description="failed scrapes in a row before a pod counts as unreachable"
    )
    sweep_interval: float = Field(
        300.0,
        ge=1,
        le=3600,
        description="seconds between two sweeps (a metadata LIST that finds what the watch missed)",
    )
    price_book: str = Field(
        "",
        description="file of prices (YAML or JSON) that come before the bundled catalogue's; "
        "it is read once, at the start",
    )
    control_plane_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$",
        description="URL of the control plane that charges what is read; without one, COST is "
        "the operator's own estimate",
    )
    control_plane_token_file: str = Field(
        "",
        description="file with the token that the control plane knows the operator by: a projected "
        "ServiceAccount token, or its operator key; it is read again every minute",
    )
    default_cost_center: str = Field(
        "",
        max_length=128,
        description="who pays for agents of which neither pods, object nor namespace say it",
    )
    seal_key_file: str = Field(
        "",
        description="file with the key that seals what is noted in each status; without one, "
        "whoever may write a status can change what it counts",
    )
    previous_seal_key_file: str = Field(
        "",
        description="file with the key before it, whose seals are still believed; "
        "the file need not exist",
    )
    seal_required: bool = Field(
        True, description="refuse to start when the seal key file does not exist"
    )
    health_address: str = Field(
        "0.0.0.0",  # a pod's probes and Prometheus come from outside the pod
        description="address that serves /livez, /readyz and /metrics",
    )
    health_port: Port = 8080
    allow_loopback: bool = Field(
        False, description="scrape pods at 127.0.0.0/8; for a cluster on this machine only"
    )
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"

    @model_validator(mode="after")
    def _related_values_fit(self) -> Self:
        if self.namespace_concurrency > self.scrape_concurrency:
            raise ValueError(
                f"namespace_concurrency {self.namespace_concurrency} exceeds "
                f"scrape_concurrency {self.scrape_concurrency}: one namespace could take all of it"
            )
        if len(set(self.namespaces)) != len(self.namespaces):
            raise ValueError(f"namespaces {','.join(self.namespaces)} names one twice")
        if self.control_plane_token_file and not self.control_plane_url:
            raise ValueError(
                f"control_plane_token_file is {self.control_plane_token_file} without "
                "control_plane_url: there is nobody to show it to"
            )
        if self.seal_key_file and not self.leader_elect:
            raise ValueError(
                f"seal_key_file is {self.seal_key_file} and leader_elect is off: "
                "the Lease remembers since when statuses are sealed"
            )
        return self
