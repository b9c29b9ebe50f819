"""Upstreams over TLS are verified: by name, and by an authority that configuration trusts."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agentspec_usage.errors import SettingsError
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.sidecar.calls import EndedBy
from agentspec_usage.sidecar.proxy import ProxyServer, ProxySettings, Upstream
from tests.fakes.call_meter import RecordingMeter
from tests.fakes.raw_upstreams import answering, raw_upstream
from tests.integration.sidecar.proxy.proxies import chat_request, length, proxy

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's own")])
FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
UNTIL = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Certified:
    """A server's context, and the file that makes a client trust it."""

    context: ssl.SSLContext
    authority: Path


def certified(directory: Path, name: x509.GeneralName) -> Certified:
    """A certificate that speaks for ``name`` and for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder(NAME, NAME, key.public_key(), 1, FROM, UNTIL)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    authority, secret = directory / "ca.pem", directory / "key.pem"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, secret)
    return Certified(context, authority)


LOOPBACK = x509.IPAddress(ip_address("127.0.0.1"))


async def test_a_trusted_upstream_is_called_and_its_connection_kept(tmp_path: Path) -> None:
    made = certified(tmp_path, LOOPBACK)
    async with (
        raw_upstream(answering(length(b"{}")), made.context) as upstream,
        proxy(upstream.url, ca_file=made.authority) as through,
    ):
        for _ in range(3):
            assert await through.ask(chat_request()) == (200, b"{}")
        assert upstream.connections == 1


@pytest.mark.parametrize(
    ("name", "trusts_it"),
    [
        pytest.param(LOOPBACK, False, id="an authority that nobody trusts"),
        pytest.param(x509.DNSName("api.example"), True, id="another name"),
    ],
)
async def test_nothing_is_sent_to_an_upstream_that_is_not_verified(
    tmp_path: Path, name: x509.GeneralName, trusts_it: bool
) -> None:
    made = certified(tmp_path, name)
    requests: list[tuple[bytes, bytes]] = []
    async with (
        raw_upstream(answering(length(b"{}"), requests), made.context) as upstream,
        proxy(upstream.url, ca_file=made.authority if trusts_it else None) as through,
    ):
        assert (await through.ask(chat_request()))[0] == 502
        end = await through.meter.the_end()
        assert (end.ended_by, end.sent) == (EndedBy.UNREACHABLE, False)
    assert requests == []


@pytest.mark.parametrize("content", [None, "not a certificate"], ids=["missing", "no PEM"])
def test_a_file_of_authorities_that_is_none_is_refused_at_once(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings = ProxySettings([Upstream("openai", "https://api.example")], ca_file=file)
    with pytest.raises(SettingsError, match=r"ca\.pem"):
        ProxyServer(settings, RecordingMeter(), SystemClock(), lambda: "key")
