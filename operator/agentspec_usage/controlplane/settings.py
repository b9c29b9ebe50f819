"""What the control plane can be told, each with its unit and the reason for its default.

The values come from flags and the environment through ``cli``; everything below takes this frozen
value. The admin key is none of them: a flag would show it to everybody on the machine.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from agentspec_usage.metering.months import CLOSE_GRACE_HOURS
from agentspec_usage.wire.program_settings import LogFormat, LogLevel, Port, ProgramSettings

__all__ = ["ControlPlaneSettings"]

_NAMED = r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$"
"""An object's namespace and name, or nothing."""


class ControlPlaneSettings(ProgramSettings):
    """Settings of ``agentspec-usage controlplane``."""

    address: str = Field(
        "0.0.0.0",  # agents and probes come from outside the pod
        description="address that serves the API, /health and /metrics",
    )
    port: Port = 8000
    database: str = Field(
        "agentspec-usage.db",
        min_length=1,
        description="where the usage is kept: a SQLite file on a disk of this machine's own, or a "
        "postgresql:// URL; DATABASE_URL is read where this is not set",
    )
    admin_key_file: str = Field(
        "", description="file with the admin key; without a key no agent can be registered"
    )
    price_book: str = Field(
        "",
        description="file with prices (YAML or JSON) that come before the bundled catalogue's",
    )
    cluster: str = Field(
        "",
        max_length=253,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="name of this cluster, as files of charges identify its agents",
    )
    signing_key_file: str = Field(
        "",
        description="file with the Ed25519 key (PEM) that signs the journal of what is stored",
    )
    checkpoint_file: str = Field(
        "", description="file to which each signed head of the journal is appended"
    )
    checkpoint_interval: float = Field(
        60.0, ge=1, le=86_400, description="seconds between two signed heads at least"
    )
    head_config_map: str = Field(
        "",
        pattern=_NAMED,
        description="ConfigMap, as namespace/name, in which signed heads are kept as well",
    )
    kubeconfig: str = Field(
        "",
        description="file that says where the API server is; without one the pod's own account",
    )
    remote_namespace: str = Field(
        "",
        pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$",
        description="namespace whose agents are shown as AgentObservations there; none without it",
    )
    remote_interval: float = Field(
        30.0, ge=1, le=3600, description="seconds between two looks at what they say"
    )
    remote_silence: float = Field(
        120.0, ge=10, le=86_400, description="seconds without a heartbeat after which one is away"
    )
    remote_write_rate: float = Field(
        10.0, gt=0, le=1000, description="writes of their objects a second, at most"
    )
    lease: str = Field(
        "",
        pattern=_NAMED,
        description="Lease, as namespace/name, whose holder alone of several writes those objects",
    )
    operator_key_file: str = Field(
        "", description="file with the key by which the operator hands in what it observed"
    )
    operator_service_account: str = Field(
        "",
        pattern=_NAMED,
        description="ServiceAccount, as namespace/name, whose tokens the operator may show instead",
    )
    operator_audience: str = Field(
        "agentspec-usage-controlplane",
        min_length=1,
        description="audience that the operator's tokens must be made for",
    )
    zone: str = Field("UTC", description="time zone of the days and months that the operator shows")
    settle_hours: float = Field(
        24.0,
        ge=1,
        le=744,
        description="hours after which usage that was seen and not delivered is charged"
        " as an estimate",
    )
    close_grace_hours: float = Field(
        CLOSE_GRACE_HOURS,
        ge=0,
        le=744,
        description="hours after a month's end before which it is closed only when asked to be"
        " closed early; 0 closes one that is over",
    )
    retain_months: int = Field(
        0,
        ge=0,
        le=1200,
        description="whole months before the present one whose calls are kept, after which those"
        " of closed months are dropped; 0 keeps all for ever",
    )
    key_days: int = Field(365, ge=1, le=3650, description="days until an agent's key expires")
    heartbeat_interval: float = Field(
        10.0,
        ge=0,
        le=3600,
        description="seconds between two heartbeats of one key and instance at least",
    )
    request_rate: float = Field(
        50.0, gt=0, le=100_000, description="requests a second of one key, over time"
    )
    request_burst: int = Field(
        200, ge=1, le=100_000, description="requests of one key that may come at once"
    )
    instance_rate: float = Field(
        1.0,
        gt=0,
        le=10_000,
        description="instances (process lives) of one agent that may be new each second, over time",
    )
    instance_burst: int = Field(
        10_000, ge=64, le=1_000_000, description="instances of one agent that may be new at once"
    )
    requests_under_way: int = Field(
        256,
        ge=1,
        le=65_536,
        description="requests of agents with a body under way at once; a quarter of one agent",
    )
    body_timeout: float = Field(
        10.0, gt=0, le=300, description="seconds in which a body must have arrived"
    )
    commit_wait: float = Field(
        2.0, gt=0, le=60, description="seconds an answer waits for the commit, before it is 202"
    )
    event_flush_interval: float = Field(
        5.0,
        ge=0.25,
        le=3600,
        description="seconds that usage events wait at most, unless a hundred of them wait",
    )
    stop_timeout: int = Field(
        20, ge=1, le=600, description="seconds for requests under way when the program stops"
    )
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        if name != "UTC":
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, OSError, ValueError):
                raise ValueError("expected a time zone such as Asia/Kolkata") from None
        return name

    @model_validator(mode="after")
    def _related_values_fit(self) -> Self:
        if self.request_burst < self.request_rate:
            raise ValueError(
                f"request_burst {self.request_burst} is below request_rate {self.request_rate:g}: "
                "the rate could never be reached"
            )
        if self.checkpoint_file and not self.signing_key_file:
            raise ValueError(
                f"checkpoint_file {self.checkpoint_file}: expected a signing_key_file beside it"
            )
        if self.head_config_map and not self.signing_key_file:
            raise ValueError(
                f"head_config_map {self.head_config_map}: expected a signing_key_file beside it"
            )
        return self

    @property
    def uses_cluster(self) -> bool:
        """Whether anything of the API server is asked for."""
        return bool(self.head_config_map or self.remote_namespace or self.operator_service_account)

    @property
    def zone_info(self) -> tzinfo:
        return UTC if self.zone == "UTC" else ZoneInfo(self.zone)
