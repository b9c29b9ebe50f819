"""What the sidecar can be told, each with its unit and the reason for its default.

The values come from flags and the environment through ``cli``; everything below takes this frozen
value. The API key is none of them: a flag would show it to everybody on the machine.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from agentspec_usage.wire.program_settings import LogFormat, LogLevel, Port, ProgramSettings

__all__ = ["SidecarSettings"]


class SidecarSettings(ProgramSettings):
    """Settings of ``agentspec-usage sidecar``."""

    upstream_url: str = Field("", description="the one provider that the proxy forwards to")
    upstream_provider: str = Field(
        "openai", min_length=1, max_length=64, description="what its API is: openai, anthropic, …"
    )
    upstreams_file: str = Field(
        "", description="YAML file with several upstreams and the budgets, instead of one URL"
    )
    ca_file: str = Field(
        "", description="PEM file with the authorities to trust instead of the system's"
    )
    proxy_address: str = Field(
        "127.0.0.1",  # the agent is in the same pod, and its provider's keys pass here
        description="address of the proxy",
    )
    proxy_port: Port = Field(4000, ge=0, le=65535, description="its port; 0 takes a free one")
    control_address: str = Field(
        "0.0.0.0",  # the operator and probes come from outside the pod
        description="address that serves /usage, /audit, /health and /metrics",
    )
    control_port: Port = Field(4001, ge=0, le=65535, description="its port; 0 takes a free one")
    ledger_dir: str = Field(
        "", description="directory of the pod's ledger, on a volume that outlives the container"
    )
    control_plane_url: str = Field(
        "", description="control plane that takes the pod's usage records; none are sent without"
    )
    api_key_file: str = Field("", description="file with the agent's key for the control plane")
    heartbeat_interval: float = Field(
        30.0, ge=1, le=3600, description="seconds between two heartbeats"
    )
    agent_url: str = Field(
        "", description="the agent's own usage, http://127.0.0.1:PORT/agentspec/usage, if it has it"
    )
    agent_interval: float = Field(
        15.0, ge=1, le=3600, description="seconds between two readings of it"
    )
    audit_ring_size: int = Field(
        1000, ge=1, le=100_000, description="requests that the audit ring keeps"
    )
    token_log_dir: str = Field("", description="directory of token-usage.jsonl; none without")
    token_log_bytes: int = Field(
        16 * 1024 * 1024, ge=64 * 1024, description="bytes of one such file"
    )
    token_log_files: int = Field(4, ge=1, le=1000, description="such files that are kept")
    drain_abandoned: float = Field(
        0.0,
        ge=0,
        le=600,
        description="seconds to go on reading an answer whose client went away, for its usage",
    )
    stop_timeout: float = Field(
        15.0, ge=0, le=3600, description="seconds for calls under way when the program stops"
    )
    delivery_timeout: float = Field(
        10.0, ge=0, le=3600, description="seconds for the last records to reach the control plane"
    )
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"

    @model_validator(mode="after")
    def _says_where_to_forward(self) -> Self:
        if bool(self.upstream_url) == bool(self.upstreams_file):
            given = "both" if self.upstream_url else "none"
            raise ValueError(
                f"upstream_url and upstreams_file: expected exactly one of them, {given} is given"
            )
        return self
