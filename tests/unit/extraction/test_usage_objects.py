"""What each provider's usage object means, in canonical counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.measured import Measured
from agentspec_usage.extraction.response_ids import unique_response_id
from agentspec_usage.extraction.usage.anthropic import anthropic_messages
from agentspec_usage.extraction.usage.openai import (
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        pytest.param(
            {
                "prompt_tokens": 1000,
                "completion_tokens": 500,
                "total_tokens": 1500,
                "prompt_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 100},
                "completion_tokens_details": {"reasoning_tokens": 300, "audio_tokens": 7},
            },
            TokenCounts(
                input=1000,
                output=500,
                cache_read=800,
                cache_write_unspecified=100,
                reasoning=300,
                audio_out=7,
                calls=1,
            ),
            id="openai: everything inside",
        ),
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 10,
                "total_tokens": 200,
                "completion_tokens_details": {"reasoning_tokens": 90},
            },
            TokenCounts(input=100, output=100, reasoning=90, calls=1),
            id="xai: reasoning beside, 100 + 10 + 90 = 200",
        ),
        pytest.param(
            {
                "prompt_tokens": 7,
                "completion_tokens": 6,
                "total_tokens": 4818,
                "prompt_tokens_details": {"cached_tokens": 4805},
            },
            TokenCounts(input=4812, output=6, cache_read=4805, calls=1),
            id="snowflake: cache beside, 7 + 4805 + 6 = 4818",
        ),
        pytest.param(
            {
                "prompt_tokens": 50,
                "completion_tokens": 5,
                "total_tokens": 55,
                "prompt_cache_hit_tokens": 32,
                "prompt_cache_miss_tokens": 18,
            },
            TokenCounts(input=50, output=5, cache_read=32, calls=1),
            id="deepseek: hits and misses",
        ),
        pytest.param({"total_tokens": 42}, TokenCounts(input=42, calls=1), id="a total alone"),
        pytest.param(
            {"prompt_tokens": 9, "completion_tokens": None, "prompt_tokens_details": None},
            TokenCounts(input=9, calls=1),
            id="vllm: nulls",
        ),
    ],
)
def test_a_chats_usage(usage: dict[str, Any], counts: TokenCounts) -> None:
    measured = openai_chat(usage)
    assert measured is not None
    assert measured.counts == counts
    assert not measured.flaw


def test_a_responses_usage_has_its_cache_writes_by_time_to_live() -> None:
    usage = {
        "input_tokens": 3025,
        "input_tokens_details": {
            "cached_tokens": 1,
            "cache_write_tokens": 3022,
            "cache_write_tokens_details": {"ttl_30m_tokens": 3000, "ttl_12h_tokens": 20},
        },
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 3029,
    }
    # 3000 + 20 of 3022 have a time to live; 2 are of an unknown one.
    assert openai_responses(usage) == Measured(
        TokenCounts(
            input=3025,
            output=4,
            cache_read=1,
            cache_write_30m=3000,
            cache_write_12h=20,
            cache_write_unspecified=2,
            reasoning=4,
            calls=1,
        )
    )


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param({"prompt_tokens": 8, "total_tokens": 8}, id="openai"),
        pytest.param({"total_tokens": 8}, id="voyage and jina: the total alone"),
    ],
)
def test_embeddings_have_an_input_alone(usage: dict[str, Any]) -> None:
    assert openai_embeddings(usage) == Measured(TokenCounts(input=8, calls=1))


def test_anthropics_input_leaves_the_cache_out_so_it_is_added() -> None:
    usage = {
        "input_tokens": 504,
        "cache_creation_input_tokens": 123,
        "cache_read_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 23, "ephemeral_1h_input_tokens": 100},
        "output_tokens": 97,
        "output_tokens_details": {"thinking_tokens": 40},
    }
    # 504 + 123 + 1000 = 1627
    assert anthropic_messages(usage) == (
        Measured(
            TokenCounts(
                input=1627,
                output=97,
                cache_read=1000,
                cache_write_5m=23,
                cache_write_1h=100,
                reasoning=40,
                calls=1,
            ),
            input_includes_cache=False,
        ),
    )


def test_anthropics_iterations_are_what_was_used() -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "iterations": [
            {"type": "message", "input_tokens": 10, "output_tokens": 5},
            {"type": "compaction", "input_tokens": 2000, "output_tokens": 300},
        ],
    }
    assert anthropic_messages(usage) == (
        Measured(TokenCounts(input=2010, output=305, calls=1), input_includes_cache=False),
    )


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, [], "usage", 7])
def test_no_count_is_no_usage(usage: object) -> None:
    assert openai_chat(usage) is None
    assert openai_responses(usage) is None
    assert openai_embeddings(usage) is None
    assert anthropic_messages(usage) == ()


@pytest.mark.parametrize("value", [True, 1.0, "1", -1, MAX_COUNT + 1, {}])
def test_what_is_no_count_is_refused_by_its_name(value: object) -> None:
    with pytest.raises(WireError, match=r"^prompt_tokens_details\.cached_tokens: expected a whole"):
        openai_chat({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": value}})


def test_parts_that_exceed_their_whole_are_left_out_and_flagged() -> None:
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert openai_chat(usage) == Measured(
        TokenCounts(input=5, output=3, reasoning=2, calls=1), flaw=True
    )


def test_a_total_that_contradicts_its_parts_is_flagged() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 9}
    assert openai_chat(usage) == Measured(TokenCounts(input=5, output=3, calls=1), flaw=True)


numbers = st.none() | st.integers(0, 5000)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": numbers,
            "completion_tokens": numbers,
            "total_tokens": numbers,
            "input_tokens": numbers,
            "output_tokens": numbers,
            "cache_read_input_tokens": numbers,
            "cache_creation_input_tokens": numbers,
            "prompt_tokens_details": st.fixed_dictionaries(
                {"cached_tokens": numbers, "cache_write_tokens": numbers, "audio_tokens": numbers}
            ),
            "completion_tokens_details": st.fixed_dictionaries({"reasoning_tokens": numbers}),
            "input_tokens_details": st.fixed_dictionaries(
                {"cached_tokens": numbers, "cache_write_tokens": numbers}
            ),
            "cache_creation": st.fixed_dictionaries(
                {"ephemeral_5m_input_tokens": numbers, "ephemeral_1h_input_tokens": numbers}
            ),
        },
    )
)
def test_whatever_is_said_parts_fit_their_wholes_and_objects_say_what_mappings_do(
    usage: dict[str, Any],
) -> None:
    said = SimpleNamespace(
        **{
            name: SimpleNamespace(**value) if isinstance(value, dict) else value
            for name, value in usage.items()
        }
    )
    for read in (openai_chat, openai_responses, openai_embeddings, anthropic_messages):
        measured = read(usage)
        assert read(said) == measured
        found = measured if isinstance(measured, tuple) else (measured,)
        for one in found:
            if one is not None:
                counts = one.counts
                assert counts.cache_read + counts.cache_write <= counts.input
                assert counts.audio_in + counts.image_in <= counts.input
                assert counts.reasoning <= counts.output
                assert counts.calls == 1


@pytest.mark.parametrize(
    ("response_id", "unique"),
    [
        pytest.param("chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", True, id="openai"),
        pytest.param("resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b", True, id="response"),
        pytest.param("msg_01XFDUDYJgAACzvnptvVoYEL", True, id="anthropic"),
        pytest.param("f0d8f7c2-1e6b-4a7e-9a51-2f6f5d0b8c11", True, id="a uuid"),
        pytest.param("chatcmpl-17", False, id="ollama"),
        pytest.param("1", False, id="a number"),
        pytest.param("", False, id="empty"),
        pytest.param(None, False, id="absent"),
        pytest.param("m" * 200, False, id="overlong"),
    ],
)
def test_an_id_is_taken_as_unique_when_it_is_long_enough_to_be(
    response_id: object, unique: bool
) -> None:
    assert bool(unique_response_id(response_id)) is unique
