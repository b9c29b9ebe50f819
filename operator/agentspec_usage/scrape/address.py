"""Which endpoints may be contacted: the rule that keeps a tenant from steering the operator's
connections.

A pod's address comes from Kubernetes, but what stands there is only as good as the network plugin
and whoever may patch a pod's status. So the operator asks here immediately before each connect, and
a name never resolves: only an address literal in its plain form passes.

IPv4 is a list of refusals, because pod networks use nearly all of it: the private ranges, the
carrier-grade range 100.64.0.0/10 and, on some clouds, the benchmarking range 198.18.0.0/15. IPv6 is
a list of permissions (global unicast and unique local), so that a range assigned tomorrow is
refused until somebody decides. Addresses that carry an IPv4 address inside (mapped, compatible,
NAT64, 6to4, Teredo) are refused as a class: what they lead to would need the same judgement again.
Cloud metadata services hand credentials to whoever asks; those outside the link-local range are
listed one by one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

__all__ = ["MAX_PORT", "MIN_PORT", "path_refusal", "port_refusal", "refusal"]

MIN_PORT = 1024
"""Below are the node's and the platform's own services; an agent in a restricted pod cannot bind
there.
"""
MAX_PORT = 65535

_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,127}", re.ASCII)

_V4_LOOPBACK = IPv4Network("127.0.0.0/8")
_V6_LOOPBACK = IPv6Address("::1")
_LOOPBACK = "loopback address"

# The first match names the reason, so a single address stands before the range that holds it.
_V4_REFUSED: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/32", "unspecified address"),
        ("0.0.0.0/8", "address of this network"),
        ("169.254.0.0/16", "link-local address"),
        ("168.63.129.16/32", "metadata service"),  # Azure
        ("100.100.100.200/32", "metadata service"),  # Alibaba Cloud
        ("192.0.0.0/24", "protocol assignment"),  # with Oracle's metadata service, 192.0.0.192
        ("192.0.2.0/24", "documentation address"),
        ("198.51.100.0/24", "documentation address"),
        ("203.0.113.0/24", "documentation address"),
        ("192.88.99.0/24", "6to4 relay address"),
        ("224.0.0.0/4", "multicast address"),
        ("255.255.255.255/32", "broadcast address"),
        ("240.0.0.0/4", "reserved address"),
    )
)

_V6_REFUSED: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified address"),
        ("::ffff:0:0/96", "IPv4-mapped address"),
        ("::ffff:0:0:0/96", "IPv4-translated address"),
        ("::/96", "IPv4-compatible address"),
        ("64:ff9b::/96", "NAT64 address"),
        ("64:ff9b:1::/48", "NAT64 address"),
        ("2001::/32", "Teredo address"),
        ("2001::/23", "protocol assignment"),
        ("2001:db8::/32", "documentation address"),
        ("3fff::/20", "documentation address"),
        ("2002::/16", "6to4 address"),
        ("fd00:ec2::/32", "metadata service"),  # AWS: instance metadata, pod identity, time, DNS
        ("fd20:ce::254/128", "metadata service"),  # Google Cloud
        ("fe80::/10", "link-local address"),
        ("fec0::/10", "site-local address"),
        ("ff00::/8", "multicast address"),
    )
)
_V6_ALLOWED = (IPv6Network("2000::/3"), IPv6Network("fc00::/7"))


def refusal(address: str, *, allow_loopback: bool) -> str | None:
    """Why ``address`` must not be contacted, None when it may be. The text is fixed: it never holds
    the address.
    """
    return _judge(address, allow_loopback)


def port_refusal(port: int) -> str | None:
    """Why ``port`` must not be contacted, None when it may be."""
    return None if MIN_PORT <= port <= MAX_PORT else f"port outside {MIN_PORT} to {MAX_PORT}"


def path_refusal(path: str) -> str | None:
    """Why ``path`` must not be asked for, None when it may be: a line break in it would write a
    second request.
    """
    if _PATH.fullmatch(path) is None or "//" in path:
        return "path with characters that are not allowed"
    return None


# Pure, and asked again for the same pods every interval.
@lru_cache(maxsize=16_384)
def _judge(address: str, allow_loopback: bool) -> str | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return "not an IP address"
    if isinstance(parsed, IPv4Address):
        return _judge_v4(parsed, allow_loopback)
    return _judge_v6(parsed, allow_loopback)


def _judge_v4(address: IPv4Address, allow_loopback: bool) -> str | None:
    if address in _V4_LOOPBACK:
        return None if allow_loopback else _LOOPBACK
    return next((reason for network, reason in _V4_REFUSED if address in network), None)


def _judge_v6(address: IPv6Address, allow_loopback: bool) -> str | None:
    if address.scope_id is not None:
        return "address with a zone"
    if address == _V6_LOOPBACK:
        return None if allow_loopback else _LOOPBACK
    for network, reason in _V6_REFUSED:
        if address in network:
            return reason
    if any(address in network for network in _V6_ALLOWED):
        return None
    return "address range not in use for hosts"
