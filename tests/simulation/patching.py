"""A mutant: shipped source with a small change, in a fresh interpreter.

The change is made to the text of a module when it is imported, so everything that uses the module
uses the mutant, and nothing on disk changes. A mutant whose text is not found, or is found twice,
is an error: the source moved on and the mutant must follow.
"""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

__all__ = ["Mutant", "Patch", "StaleMutant", "install", "patched"]


class StaleMutant(Exception):
    """The source that a mutant changes does not read as it expects."""


@dataclass(frozen=True, slots=True)
class Patch:
    """In ``module``, ``old`` becomes ``new``; ``old`` stands there exactly once."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug that somebody could have written; ``machine`` is what must notice."""

    name: str
    machine: str
    patches: tuple[Patch, ...]


def patched(source: str, patches: Sequence[Patch]) -> str:
    """``source`` after ``patches``. Raises ``StaleMutant``."""
    for patch in patches:
        found = source.count(patch.old)
        if found != 1:
            raise StaleMutant(f"{patch.module}: found {found} times, expected once:\n{patch.old}")
        source = source.replace(patch.old, patch.new)
    return source


def install(mutant: Mutant) -> None:
    """From now on the modules of ``mutant`` import with its change; none may be loaded yet."""
    by_module: dict[str, list[Patch]] = {}
    for patch in mutant.patches:
        if patch.module in sys.modules:
            raise StaleMutant(f"{patch.module} is imported already: expected a fresh interpreter")
        by_module.setdefault(patch.module, []).append(patch)
    sys.meta_path.insert(0, _Finder(by_module))


class _Finder(MetaPathFinder):
    def __init__(self, patches: dict[str, list[Patch]]) -> None:
        self._patches = patches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        patches = self._patches.get(fullname)
        if patches is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path, patches)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, patches: Sequence[Patch]) -> None:
        super().__init__(fullname, path)
        self._patches = patches

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        """Never from the cache on disk, and never into it."""
        source = patched(self.get_source(fullname) or "", self._patches)
        return compile(source, self.path, "exec", dont_inherit=True)
