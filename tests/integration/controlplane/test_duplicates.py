"""Ten times the same delivery, in any order and at once, is one delivery."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random

from tests.integration.controlplane.database import stored_of
from tests.integration.controlplane.processes import ControlPlane
from tests.integration.controlplane.senders import Sender, flush


def test_every_body_delivered_ten_times_at_once_counts_once(plane: ControlPlane) -> None:
    sender = Sender(plane.url, plane.register("agent"), 3)
    sent: list[bytes] = []
    with ThreadPoolExecutor(5) as pool:
        for _ in range(10):
            sender.call(60)
            body = sender.body()
            assert body is not None
            answers = list(pool.map(sender.post, [body] * 10))
            assert {answer.status_code for answer in answers} <= {200, 202}
            sender.step()
            sent.append(body)
        late = sent * 2
        Random(3).shuffle(late)
        assert {answer.status_code for answer in pool.map(sender.post, late)} <= {200, 202}
    flush([sender])
    assert plane.terminate() == 0
    stored = stored_of(plane.database, sender.instance_id)
    assert stored.items == stored.applied == sender.truth
    assert stored.records == stored.distinct_records == 600
    assert not stored.conflicts
