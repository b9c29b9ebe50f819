"""A request is changed as little as can be, and not at all where it should not be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.extraction.framing import with_include_usage


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        pytest.param(
            b'{"model":"m","stream":true}',
            b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
            id="last member",
        ),
        pytest.param(
            b' { "stream" : true ,\r\n "messages" : [ { "content" : "}\\"{" } ] }\n',
            b' { "stream" : true,"stream_options":{"include_usage":true} ,\r\n "messages" : '
            b'[ { "content" : "}\\"{" } ] }\n',
            id="first member, spaced",
        ),
        pytest.param(
            '{"messages":"ü🙂\\ud83d","stream":true}'.encode(),
            '{"messages":"ü🙂\\ud83d","stream":true,'
            '"stream_options":{"include_usage":true}}'.encode(),
            id="text and escapes stay as they were",
        ),
        pytest.param(
            b'{"stream_options":{},"stream":true}',
            b'{"stream_options":{"include_usage":true},"stream":true}',
            id="empty options",
        ),
        pytest.param(
            b'{"stream":true,"stream_options": { "include_obfuscation":false } }',
            b'{"stream":true,"stream_options": {"include_usage":true,'
            b' "include_obfuscation":false } }',
            id="other options",
        ),
        pytest.param(
            b'{"stream":true,"stream_options":null}',
            b'{"stream":true,"stream_options":{"include_usage":true}}',
            id="null options",
        ),
        pytest.param(
            b'{"x":{"stream_options":{"include_usage":true}},"stream":true}',
            b'{"x":{"stream_options":{"include_usage":true}},"stream":true,'
            b'"stream_options":{"include_usage":true}}',
            id="options of something else",
        ),
    ],
)
def test_usage_is_asked_for_and_every_other_byte_stays(body: bytes, changed: bytes) -> None:
    assert with_include_usage(body) == changed
    assert with_include_usage(changed) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="empty"),
        pytest.param(b'{"model":"m"}', id="no stream"),
        pytest.param(b'{"stream":false}', id="stream is false"),
        pytest.param(b'{"stream":1}', id="stream is no boolean"),
        pytest.param(b'{"x":{"stream":true}}', id="stream of something else"),
        pytest.param(b'{"stream":true,"stream_options":{"include_usage":true}}', id="asks already"),
        pytest.param(b'{"stream":true,"stream_options":{"include_usage":false}}', id="says no"),
        pytest.param(b'{"stream":true,"stream_options":[]}', id="options are no object"),
        pytest.param(b'{"stream":true,"stream":true}', id="stream comes twice"),
        pytest.param(
            b'{"stream":true,"stream_options":{},"stream_options":{}}', id="options come twice"
        ),
        pytest.param(b'{"stream":true', id="cut off"),
        pytest.param(b'{"stream":true}}', id="something follows"),
        pytest.param(b'{"stream":true,}', id="comma at the end"),
        pytest.param(b'{"stream":true 1:2}', id="no comma"),
        pytest.param(b'{"stream" true}', id="no colon"),
        pytest.param(b'{1:true,"stream":true}', id="a key that is no string"),
        pytest.param(b'[{"stream":true}]', id="no object"),
        pytest.param(b'{"stream":true,"x":"\xff"}', id="no UTF-8"),
        pytest.param(b'\xef\xbb\xbf{"stream":true}', id="byte order mark"),
        pytest.param('{"stream":true}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"stream":true,"x":%s}' % (b"[" * 100_000), id="too deep"),
        pytest.param(b'{"stream":true,"x":%s}' % (b"9" * 5_000), id="too long a number"),
    ],
)
def test_a_body_that_should_not_be_changed_is_not(body: bytes) -> None:
    assert with_include_usage(body) is None


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=10,
)
_KEYS = st.text(max_size=5) | st.sampled_from(["stream", "stream_options", "model"])


@given(st.dictionaries(_KEYS, _VALUES), st.booleans(), st.sampled_from([None, 1]))
def test_a_changed_request_differs_in_the_one_option_alone(
    request: dict[str, object], ascii_only: bool, indent: int | None
) -> None:
    request |= {"stream": True}
    body = json.dumps(request, ensure_ascii=ascii_only, indent=indent).encode()
    options = request.get("stream_options")

    changed = with_include_usage(body)

    if options is not None and not isinstance(options, dict):
        assert changed is None
    elif isinstance(options, dict) and "include_usage" in options:
        assert changed is None
    else:
        assert changed is not None
        expected = request | {"stream_options": {**(options or {}), "include_usage": True}}
        assert json.loads(changed) == expected


@given(st.lists(st.sampled_from(["{", "}", '"stream"', ":", "true", ",", '"', "[", " "])))
def test_whatever_is_changed_was_json(tokens: list[str]) -> None:
    text = "".join(tokens)
    if with_include_usage(text.encode()) is not None:
        assert json.loads(text)["stream"] is True
