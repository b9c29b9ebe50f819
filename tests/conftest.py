"""What every test may ask for, and how the laws are checked.

A law is checked without deadlines: how long an example takes says nothing about it.
"""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.fixtures.cluster", "tests.fixtures.postgresql"]

settings.register_profile("laws", deadline=None)
settings.load_profile("laws")
