"""Settings from flags and the environment: a flag and a variable for every field of a pydantic
model.

The model is the one declaration. From a field ``write_budget`` of the operator come
``--write-budget`` and ``AGENTSPEC_OPERATOR_WRITE_BUDGET``; a flag wins over a variable, a variable
over the default. A bad value is an error that names where it came from, what it was and what was
expected.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from agentspec_usage.errors import SettingsError

__all__ = ["add_flags", "read_settings", "variable"]

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")


def variable(prefix: str, field: str) -> str:
    """The environment variable of a field."""
    return f"{prefix}_{field}".upper()


def add_flags(parser: argparse.ArgumentParser, model: type[BaseModel], prefix: str) -> None:
    """A flag for every field of ``model``, its description, default and variable in the help."""
    for name, info in model.model_fields.items():
        flag = "--" + name.replace("_", "-")
        default = info.get_default(call_default_factory=True)
        shown = ",".join(default) if isinstance(default, tuple) else str(default).lower()
        parts = [info.description or "", f"[{variable(prefix, name)}"]
        parts.append(f"; default {shown}]" if shown not in ("", "none") else "]")
        text = f"{parts[0]} {parts[1]}{parts[2]}".replace("%", "%%")
        if info.annotation is bool:
            parser.add_argument(
                flag, dest=name, default=None, action=argparse.BooleanOptionalAction, help=text
            )
        else:
            parser.add_argument(flag, dest=name, default=None, metavar="VALUE", help=text)


def read_settings(
    model: type[Model],
    arguments: argparse.Namespace,
    prefix: str,
    environment: Mapping[str, str] | None = None,
) -> Model:
    """The settings that flags and environment say. Raises SettingsError."""
    # Only here: the command line itself must work, and say what is missing, without any extra.
    from pydantic import ValidationError

    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, info in model.model_fields.items():
        given = getattr(arguments, name, None)
        if given is not None:
            values[name], origins[name] = given, "--" + name.replace("_", "-")
        elif variable(prefix, name) in environment:
            values[name] = environment[variable(prefix, name)]
            origins[name] = variable(prefix, name)
        if isinstance(values.get(name), str) and get_origin(info.annotation) is tuple:
            values[name] = tuple(part.strip() for part in values[name].split(",") if part.strip())
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        where = f"{origins.get(name, name)} {first['input']!r}: " if name else ""
        expected = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{where}{expected}") from error
