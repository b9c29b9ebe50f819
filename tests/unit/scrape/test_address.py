"""Which endpoints may be contacted."""

from __future__ import annotations

import pytest

from agentspec_usage.scrape.address import path_refusal, port_refusal, refusal
from tests.fixtures.addresses import ALLOWED, REFUSED


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        pytest.param(address, reason, id=f"{reason}-{address!a}")
        for reason, addresses in REFUSED.items()
        for address in addresses
    ],
)
def test_an_address_that_no_pod_has_is_refused_with_its_reason(address: str, reason: str) -> None:
    refused = refusal(address, allow_loopback=False)
    assert refused is not None
    assert reason in refused


@pytest.mark.parametrize("address", ALLOWED)
def test_an_address_that_pods_have_is_allowed(address: str) -> None:
    assert refusal(address, allow_loopback=False) is None


@pytest.mark.parametrize("address", REFUSED["loopback"])
def test_loopback_is_allowed_where_development_asks_for_it(address: str) -> None:
    assert refusal(address, allow_loopback=True) is None


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(address, id=ascii(address))
        for reason, addresses in REFUSED.items()
        if reason != "loopback"
        for address in addresses
    ],
)
def test_allowing_loopback_allows_nothing_else(address: str) -> None:
    assert refusal(address, allow_loopback=True) is not None


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(address, id=ascii(address))
        for address in REFUSED["not an IP address"]
        if address.strip()
    ],
)
def test_a_refusal_does_not_repeat_the_address(address: str) -> None:
    assert address not in str(refusal(address, allow_loopback=False))


@pytest.mark.parametrize("port", [1024, 4001, 8080, 65535])
def test_an_unprivileged_port_is_allowed(port: int) -> None:
    assert port_refusal(port) is None


@pytest.mark.parametrize("port", [-1, 0, 22, 80, 443, 1023, 65536, 2**31])
def test_any_other_port_is_refused(port: int) -> None:
    assert port_refusal(port) is not None


@pytest.mark.parametrize(
    "path", ["/", "/usage", "/agentspec/usage", "/~a/b-c_d.e", "/" + "a" * 127]
)
def test_a_plain_path_is_allowed(path: str) -> None:
    assert path_refusal(path) is None


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="empty"),
        pytest.param("usage", id="relative"),
        pytest.param("//evil/usage", id="two slashes in front"),
        pytest.param("/a//b", id="two slashes inside"),
        pytest.param("/usage?reset=1", id="query"),
        pytest.param("/usage#x", id="fragment"),
        pytest.param("/a%2f", id="escape"),
        pytest.param("/a b", id="space"),
        pytest.param("/a\r\nX: y", id="line break"),
        pytest.param("/usage\n", id="line feed at the end"),
        pytest.param("http://10.0.0.1/usage", id="absolute"),
        pytest.param("/ü", id="not ASCII"),
        pytest.param("/" + "a" * 128, id="too long"),
    ],
)
def test_any_other_path_is_refused(path: str) -> None:
    assert path_refusal(path) is not None
