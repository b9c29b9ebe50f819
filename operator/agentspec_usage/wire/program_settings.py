"""What the settings of every program have in common: their form, and the fields they share.

A program's settings are one frozen model, built by ``cli`` from flags and the environment. The
shared fields are types and no base class's fields, so that each program says its own default and
has them where its ``--help`` should show them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LogFormat", "LogLevel", "Port", "ProgramSettings"]

LogFormat = Annotated[Literal["json", "text"], Field(description="form of the log lines")]

LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], Field(description="lowest level that is logged")
]

Port = Annotated[int, Field(ge=0, le=65535, description="its port; 0 takes a free one")]


class ProgramSettings(BaseModel):
    """Settings of one program: never changed, and no name taken that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")
