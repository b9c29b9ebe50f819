"""Listeners hear everything or are dropped; the publisher never waits."""

from __future__ import annotations

from agentspec_usage.sidecar.audit.feed import AuditFeed, Listener

LONG = 5.0


async def heard(listener: Listener, count: int) -> list[bytes | None]:
    messages: list[bytes | None] = []
    async for message in listener.messages(LONG):
        messages.append(message)
        if len(messages) == count:
            break
    return messages


async def test_each_listener_hears_each_message_in_order() -> None:
    feed = AuditFeed()
    first, second = feed.listen(), feed.listen()
    assert first is not None
    assert second is not None
    feed.publish(lambda: b"1")
    feed.publish(lambda: b"2")
    assert await heard(first, 2) == await heard(second, 2) == [b"1", b"2"]


async def test_a_message_that_nobody_hears_is_not_made() -> None:
    feed = AuditFeed()
    made: list[bytes] = []

    def message() -> bytes:
        made.append(b"m")
        return b"m"

    feed.publish(message)
    assert made == []
    listeners = [feed.listen(), feed.listen()]
    feed.publish(message)
    assert made == [b"m"]
    assert None not in listeners


async def test_a_slow_listener_is_dropped_and_the_others_go_on() -> None:
    feed = AuditFeed(length=2)
    slow, quick = feed.listen(), feed.listen()
    assert slow is not None
    assert quick is not None
    for _ in range(3):
        feed.publish(lambda: b"m")
        assert await heard(quick, 1) == [b"m"]
    assert slow.dropped
    assert [message async for message in slow.messages(LONG)] == []
    assert (len(feed), feed.dropped) == (1, 1)


async def test_silence_is_told() -> None:
    feed = AuditFeed()
    listener = feed.listen()
    assert listener is not None
    async for message in listener.messages(0.001):
        assert message is None
        break


async def test_closing_ends_every_listener_and_takes_no_more() -> None:
    feed = AuditFeed()
    listener = feed.listen()
    assert listener is not None
    feed.publish(lambda: b"waits")
    feed.close()
    assert [message async for message in listener.messages(LONG)] == []
    assert feed.listen() is None
    assert len(feed) == 0


async def test_listeners_are_bounded_and_one_who_leaves_makes_room() -> None:
    feed = AuditFeed(max_listeners=1)
    listener = feed.listen()
    assert listener is not None
    assert feed.listen() is None
    feed.leave(listener)
    assert feed.listen() is not None
