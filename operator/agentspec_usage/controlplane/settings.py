"""What the control plane can be told, each with its unit and the reason for its default.

The values come from flags and the environment through ``cli``; everything below takes this frozen
value. The admin key is none of them: a flag would show it to everybody on the machine.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from agentspec_usage.wire.program_settings import LogFormat, LogLevel, Port, ProgramSettings

__all__ = ["ControlPlaneSettings"]


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
        description="SQLite file that keeps the usage; on a disk of this machine's own",
    )
    admin_key_file: str = Field(
        "", description="file with the admin key; without a key no agent can be registered"
    )
    price_book: str = Field(
        "",
        description="file with prices (YAML or JSON) that come before the bundled catalogue's",
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
        256, ge=1, le=65_536, description="requests with a body under way at once, in all"
    )
    body_timeout: float = Field(
        10.0, gt=0, le=300, description="seconds in which a body must have arrived"
    )
    commit_wait: float = Field(
        2.0, gt=0, le=60, description="seconds an answer waits for the commit, before it is 202"
    )
    stop_timeout: int = Field(
        20, ge=1, le=600, description="seconds for requests under way when the program stops"
    )
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"

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
        return self
