"""The longest prefix of a path decides, and nothing else does."""

from __future__ import annotations

import pytest

from agentspec_usage.errors import SettingsError
from agentspec_usage.sidecar.proxy.heads import MessageError
from agentspec_usage.sidecar.proxy.routing import Origin, Routes
from agentspec_usage.sidecar.proxy.settings import Upstream

ROUTES = Routes(
    [
        Upstream("openai", "https://api.openai.com", "/openai"),
        Upstream("azure", "https://eu.example:8443/deployments/", "/openai/eu/"),
        Upstream("ollama", "http://[::1]:11434", "/local"),
    ]
)


@pytest.mark.parametrize(
    ("target", "authority", "sent"),
    [
        pytest.param(b"/openai/v1/chat?a=/x", b"api.openai.com", b"/v1/chat?a=/x", id="prefix"),
        pytest.param(b"/openai", b"api.openai.com", b"/", id="prefix alone"),
        pytest.param(b"/openai?x", b"api.openai.com", b"/?x", id="prefix and query"),
        pytest.param(b"/openai/eu/v1", b"eu.example:8443", b"/deployments/v1", id="the longest"),
        pytest.param(b"/openai/europe", b"api.openai.com", b"/europe", id="ends at a slash"),
        pytest.param(b"/local/api/chat", b"[::1]:11434", b"/api/chat", id="a literal address"),
        pytest.param(b"http://evil/local/x", b"[::1]:11434", b"/x", id="absolute target"),
        pytest.param(b"/local/a%2Fb//c", b"[::1]:11434", b"/a%2Fb//c", id="kept as written"),
    ],
)
def test_a_path_leads_to_one_upstream(target: bytes, authority: bytes, sent: bytes) -> None:
    found = ROUTES.find(target)
    assert found is not None
    assert (found.authority, found.target) == (authority, sent)


@pytest.mark.parametrize("target", [b"/", b"/v1/chat", b"/openai-eu/v1", b"http://api.openai.com"])
def test_a_path_without_an_upstream_leads_nowhere(target: bytes) -> None:
    assert ROUTES.find(target) is None


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"api.openai.com:443",
        b"/openai/../local",
        b"/openai/%2e%2E/x",
        b"/openai/.",
        b"ftp://h/openai",
    ],
)
def test_a_target_that_is_no_plain_path_is_refused(target: bytes) -> None:
    with pytest.raises(MessageError):
        ROUTES.find(target)


def test_one_upstream_takes_every_path() -> None:
    found = Routes([Upstream("openai", "https://api.openai.com/v1")]).find(b"/chat?k=v")
    assert found is not None
    assert (found.asked, found.path, found.target) == ("/chat", "/v1/chat", b"/v1/chat?k=v")
    assert found.origin == Origin(True, "api.openai.com", 443)


@pytest.mark.parametrize(
    "upstream",
    [
        pytest.param(Upstream("x", "ftp://h"), id="scheme"),
        pytest.param(Upstream("x", "https://"), id="no host"),
        pytest.param(Upstream("x", "api.openai.com"), id="no scheme"),
        pytest.param(Upstream("x", "https://user:secret@h"), id="user"),
        pytest.param(Upstream("x", "https://h/?a=b"), id="query"),
        pytest.param(Upstream("x", "https://h:99999"), id="port"),
        pytest.param(Upstream("x", "https://h/a b"), id="space"),
        pytest.param(Upstream("x", "https://h", "openai"), id="prefix without a slash"),
    ],
)
def test_an_upstream_that_leads_nowhere_is_refused(upstream: Upstream) -> None:
    with pytest.raises(SettingsError) as refused:
        Routes([upstream])
    assert "secret" not in str(refused.value)


def test_two_upstreams_with_one_prefix_are_refused() -> None:
    with pytest.raises(SettingsError, match="/a"):
        Routes([Upstream("x", "https://h", "/a"), Upstream("y", "https://i", "/a/")])
