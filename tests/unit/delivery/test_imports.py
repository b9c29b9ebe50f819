"""What an agent imports to deliver loads nothing but the standard library."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
before = set(sys.modules)
import agentspec_usage.delivery.http
import agentspec_usage.delivery.sender
import agentspec_usage.delivery.spool
import agentspec_usage.delivery.tasks
import agentspec_usage.delivery.threaded
import agentspec_usage.wire.heartbeat_encoding
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - set(sys.stdlib_module_names) - {"agentspec_usage"}))
"""


def test_delivery_loads_no_third_party() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []


def test_without_httpx_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["httpx"] = None
from agentspec_usage.delivery.http import HttpPoster
from agentspec_usage.errors import MissingExtraError
try:
    HttpPoster("http://127.0.0.1:9/")
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'agentspec-usage[sdk]'" in done.stdout
