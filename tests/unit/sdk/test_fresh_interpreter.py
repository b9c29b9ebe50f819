"""What an agent that installed nothing but the package gets: the SDK imports no third party."""

from __future__ import annotations

import ast
import subprocess
import sys

_FOREIGN = """
import sys
import agentspec_usage.sdk
names = {name.partition(".")[0] for name in sys.modules}
print(sorted(names - set(sys.stdlib_module_names) - {"__main__", "agentspec_usage"}))
"""


def run(program: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_the_sdk_imports_no_third_party() -> None:
    bare = run("import sys; print(sorted({n.partition('.')[0] for n in sys.modules}))")
    loaded = run(_FOREIGN)
    # What the environment's own .pth files load is none of ours.
    assert set(ast.literal_eval(loaded)) <= set(ast.literal_eval(bare))


def test_a_missing_httpx_is_answered_with_the_line_that_installs_it() -> None:
    program = """
import sys
sys.modules["httpx"] = None
from agentspec_usage.sdk import Reporter
reporter = Reporter()
reporter.ledger.record("openai/gpt-4o", 1, 1)
print(reporter.ledger.snapshot().totals.total)
try:
    reporter.start_push_mode("http://127.0.0.1:9", "key")
except Exception as error:
    print(type(error).__name__, error)
"""
    assert run(program).splitlines() == [
        "2",
        "MissingExtraError pushing usage needs packages that are not installed: "
        "run: pip install 'agentspec-usage[sdk]'",
    ]


def test_a_missing_langchain_is_answered_with_the_line_that_installs_it() -> None:
    program = """
import sys
sys.modules["langchain_core"] = None
try:
    import agentspec_usage.sdk.langchain
except Exception as error:
    print(type(error).__name__, error)
"""
    assert run(program) == (
        "MissingExtraError UsageCallbackHandler needs packages that are not installed: "
        "run: pip install 'agentspec-usage[langchain]'"
    )
