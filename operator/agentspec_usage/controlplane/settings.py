"""What the control plane can be told, each with its unit and the reason for its default.

The values come from flags and the environment through ``cli``; everything below takes this frozen
value. The admin key is none of them: a flag would show it to everybody on the machine.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["ControlPlaneSettings"]


class ControlPlaneSettings(BaseModel):
    """Settings of ``agentspec-usage controlplane``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(
        "0.0.0.0",  # agents and probes come from outside the pod
        description="address that serves the API, /health and /metrics",
    )
    port: int = Field(8000, ge=0, le=65535, description="its port; 0 takes a free one")
    database: str = Field(
        "agentspec-usage.db",
        min_length=1,
        description="SQLite file that keeps the usage; on a disk of this machine's own",
    )
    admin_key_file: str = Field(
        "", description="file with the admin key; without a key no agent can be registered"
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
    log_format: Literal["json", "text"] = Field("json", description="form of the log lines")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level that is logged"
    )

    @model_validator(mode="after")
    def _related_values_fit(self) -> Self:
        if self.request_burst < self.request_rate:
            raise ValueError(
                f"request_burst {self.request_burst} is below request_rate {self.request_rate:g}: "
                "the rate could never be reached"
            )
        return self
