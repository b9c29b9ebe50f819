"""What is shown of a database's URL: everything that helps to find it, and never its password."""

from __future__ import annotations

import pytest

from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.opening import open_store, shown_database
from agentspec_usage.store.postgresql.address import read_address

SECRET = "s3cr3t-canary"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param(
            f"postgresql://usage:{SECRET}@db.example:5433/chargeback?sslmode=verify-full",
            "postgresql://usage@db.example:5433/chargeback",
            id="in its place",
        ),
        pytest.param(
            f"postgres://usage@db.example/chargeback?password={SECRET}",
            "postgresql://usage@db.example/chargeback",
            id="as a parameter",
        ),
        pytest.param(
            f"postgresql://usage:{SECRET}@a.example:1,b.example:2/chargeback?sslpassword={SECRET}",
            "postgresql://usage@a.example,b.example:1,2/chargeback",
            id="several hosts, and a key's password",
        ),
        pytest.param(
            "postgresql:///usage?host=%2Frun%2Fpg", "postgresql:///run/pg/usage", id="a socket"
        ),
        pytest.param("usage.db", "usage.db", id="a file"),
    ],
)
def test_what_is_shown_has_no_password(url: str, shown: str) -> None:
    assert shown_database(url) == shown
    if shown != url:
        assert SECRET not in f"{read_address(url)!r} {read_address(url)}"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"postgresql://usage:{SECRET}%zz@db.example/usage", id="a sign not encoded"),
        pytest.param(f"postgresql://usage:{SECRET}@db.example:54x/usage", id="a port not a number"),
        pytest.param(f"postgresql://usage@db.example/usage?{SECRET}=1", id="a parameter not known"),
        pytest.param(f"postgresql://usage:{SECRET}/x@[db.example/usage", id="an open bracket"),
    ],
)
def test_a_url_that_cannot_be_read_or_used_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(StoreUnusableError) as refused:
        open_store(url)
    seen: BaseException | None = refused.value
    while seen is not None:
        assert SECRET not in str(seen)
        seen = seen.__cause__


def test_a_password_reaches_the_driver_and_the_url_wins_over_defaults() -> None:
    address = read_address(f"postgresql://usage:{SECRET}@db.example/usage?connect_timeout=60")
    assert address.parameters["password"] == SECRET
    assert address.parameters["connect_timeout"] == "60"
    assert address.parameters["application_name"] == "agentspec-usage"
