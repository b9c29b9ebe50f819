"""An outbox that is resumed from its state goes on to the byte; so does one that is resumed from
what was written down of it: its calls, its sealed frames, its acknowledgements."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.frame import Frame, SealedFrame
from agentspec_usage.metering.outbox import Outbox, outbox_of_state
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.wire.frame_header import decode_frame_header
from agentspec_usage.wire.records_encoding import encode_frame
from tests.unit.metering.readings import A
from tests.unit.metering.records import SMALL, record

STEPS = st.lists(
    st.sampled_from(["call", "call", "call", "another series", "send", "answer", "back", "end"]),
    max_size=30,
)


class Kept:
    """An outbox, and what a file would have of it."""

    def __init__(self) -> None:
        self.outbox = Outbox(A, Observer.SDK, self.encode, SMALL)
        self.replica = Outbox(A, Observer.SDK, encode_frame, SMALL)
        self.ended = False

    def encode(self, frame: Frame) -> bytes:
        body = encode_frame(frame)
        self.replica.was_sealed(SealedFrame(decode_frame_header(body), body))
        return body

    def step(self, kind: str) -> None:
        outbox = self.outbox
        if kind in ("call", "another series") and not self.ended:
            call = record(outbox.last + 1, model="gpt" if kind == "call" else f"m{outbox.last}")
            outbox.append(call)
            self.replica.append(call)
        elif kind == "send":
            outbox.to_send()
        elif kind == "answer":
            sealed = outbox.to_send()
            if sealed is not None:
                outbox.acknowledged(sealed, sealed.frame.last)
                self.replica.was_acknowledged(outbox.durable, final=outbox.final_is_durable)
        elif kind == "back":
            outbox.stands_at(max(outbox.durable - 1, 0))
            outbox.to_send()
        elif kind == "end":
            self.ended = True
            outbox.finish()
            self.replica.finish()


def delivered(outbox: Outbox) -> list[bytes]:
    """Every frame that it sends until all is durable."""
    sent = []
    while (sealed := outbox.to_send()) is not None:
        sent.append(sealed.body)
        assert outbox.acknowledged(sealed, sealed.frame.last)
    assert outbox.settled
    return sent


def without_repair(outbox: Outbox) -> Outbox:
    """What a receiver forgot, it says again."""
    sealed = outbox.to_send()
    if sealed is not None and (sealed.frame.lost or sealed.frame.since < outbox.durable):
        outbox.acknowledged(sealed, sealed.frame.last)
    return outbox


@given(STEPS)
def test_an_outbox_goes_on_from_its_state_to_the_byte(steps: list[str]) -> None:
    kept = Kept()
    for kind in steps:
        kept.step(kind)
    resumed = outbox_of_state(kept.outbox.state(), encode_frame, SMALL)
    assert (resumed.last, resumed.durable, resumed.merged) == (
        kept.outbox.last,
        kept.outbox.durable,
        kept.outbox.merged,
    )
    assert delivered(resumed) == delivered(without_repair(kept.outbox))


@given(STEPS)
def test_an_outbox_goes_on_from_what_was_written_down_of_it(steps: list[str]) -> None:
    kept = Kept()
    for kind in steps:
        kept.step(kind)
    replica = outbox_of_state(kept.replica.state(), encode_frame, SMALL)
    assert replica.durable == kept.outbox.durable
    assert delivered(replica) == delivered(without_repair(kept.outbox))
