"""Run the operator under a sampling profiler: ``python -m bench.profiled FILE operator --flags``.

Every five milliseconds of CPU the kernel interrupts and the stack is noted: unlike a tracing
profiler, which doubles what Python costs and most where calls are small, it leaves the shares as
they are. C functions are seen as the line that called them. FILE is a text: the share of CPU of
each function, itself and with all that it called. Sampling starts at SIGUSR1, so that the start can
be left out, and the file is written at the end.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from agentspec_usage.cli.main import main

_EVERY = 0.005


class Sampler:
    """Counts of samples by function."""

    def __init__(self) -> None:
        self.taken = 0
        self._itself: Counter[str] = Counter()
        self._with_callees: Counter[str] = Counter()

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def text(self) -> str:
        parts = [f"{self.taken} samples of {_EVERY * 1000:g} ms\n"]
        for title, counts in (("itself", self._itself), ("with callees", self._with_callees)):
            parts.append(f"\n{title}\n")
            parts += [
                f"{100 * count / max(self.taken, 1):6.2f} %  {name}\n"
                for name, count in counts.most_common(90)
            ]
        return "".join(parts)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        self.taken += 1
        seen: set[str] = set()
        while frame is not None:
            name = _named(frame)
            if not seen:
                self._itself[f"{name}:{frame.f_lineno}"] += 1
            if name not in seen:
                seen.add(name)
                self._with_callees[name] += 1
            frame = frame.f_back


def _named(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-2:])} {code.co_qualname}"


if __name__ == "__main__":
    sampler = Sampler()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: sampler.start())
    try:
        code = main(sys.argv[2:])
    finally:
        sampler.stop()
        Path(sys.argv[1]).write_text(sampler.text())
    sys.exit(code)
