"""Customers who ask the agents questions: that is all that makes an agent call a model."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

import httpx

from examples.demo.manifests import SamplePod

__all__ = ["Customers"]

_AT_ONCE = 2
"""Customers of one pod."""

_PAUSE_SECONDS = 0.4
_PATIENCE_SECONDS = 20.0
_REMEMBERED = 20
"""Questions that were not answered: enough to see what is wrong."""


class Customers:
    """They ask until they leave; who has left has heard the answer to everything they asked."""

    def __init__(self, pods: Sequence[SamplePod]) -> None:
        self._leaving = threading.Event()
        self.unanswered: deque[str] = deque(maxlen=_REMEMBERED)
        self._threads = [
            threading.Thread(target=self._ask, args=(pod,), daemon=True)
            for pod in pods
            if pod.agent.readable
            for _ in range(_AT_ONCE)
        ]

    def come(self) -> None:
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Ask no more, and wait for the answers that are to come."""
        self._leaving.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _ask(self, pod: SamplePod) -> None:
        question = {"question": "How many tokens is this?"}
        with httpx.Client(timeout=_PATIENCE_SECONDS, trust_env=False) as client:
            while not self._leaving.wait(_PAUSE_SECONDS):
                try:
                    client.post(f"{pod.agent_url}/ask", json=question).raise_for_status()
                except httpx.HTTPError as error:
                    self.unanswered.append(f"{pod.name}: {error}")
