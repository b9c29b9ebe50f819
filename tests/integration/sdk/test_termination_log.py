"""The last totals of a process are where Kubernetes looks when it is gone."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.sdk import Reporter
from agentspec_usage.wire.usage import decode_usage
from tests.integration.sdk.receivers import KEY, Windows, listening


@pytest.fixture
def windows() -> Windows:
    return Windows()


def used(calls: int) -> TokenCounts:
    return TokenCounts(input=100 * calls, output=20 * calls, calls=calls)


def test_the_termination_log_has_the_last_totals(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    path.write_text("x" * 10_000)
    logging = Reporter(termination_log=path)
    for number in range(100):
        logging.ledger.record(f"some-provider/some-rather-long-name-of-a-model-{number}", 100, 20)
    with listening(windows) as url:
        logging.start_push_mode(url, KEY, 0.05)
        logging.stop()
    body = path.read_bytes()
    assert len(body) <= 4096
    (seen,) = decode_usage(body).snapshots
    assert (seen.totals, seen.final) == (used(100), True)


def test_a_process_that_is_killed_left_its_totals_in_the_termination_log(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    program = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from agentspec_usage.sdk import Reporter
        reporter = Reporter(termination_log={str(path)!r})
        reporter.ledger.record("openai/gpt-4o", 100, 20)
        reporter.start_push_mode("http://127.0.0.1:9", "k")
        log = Path({str(path)!r})
        while not (log.exists() and log.stat().st_size):
            time.sleep(0.01)
        print("written", flush=True)
        time.sleep(60)
    """)
    agent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    agent.stdout.readline()
    agent.kill()
    agent.wait(30)
    agent.stdout.close()
    (seen,) = decode_usage(path.read_bytes()).snapshots
    assert (seen.totals, seen.final) == (used(1), False)
