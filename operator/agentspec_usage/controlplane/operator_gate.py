"""Who may hand in what it observed: the operator alone, because it speaks for every agent.

It shows one of two things as its bearer: the operator's key, which both read from a file, or a
token of the ServiceAccount that it runs as. A token has dots and a key has none, so that it is
never a question which of them one is, and a key is never shown to the API server.

A review costs the API server a request, and whoever likes may send tokens. So an accepted one is
good for a minute without asking again, and asking is limited: by the address that asks, since one
limit for all would let any stranger keep the operator out whenever its token is new (each hour, and
after each start). A token that was accepted before is asked about outside of the limit.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Collection
from http import HTTPStatus

from starlette.requests import Request

from agentspec_usage.controlplane.limits import TokenBuckets
from agentspec_usage.controlplane.token_review import TokenReviews
from agentspec_usage.errors import SettingsError
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.serving.problems import Refusal, too_many

__all__ = ["OperatorGate"]

ACCEPTED_SECONDS = 60.0
"""How long a token is good after a review: so long an account that was deleted may go on."""

REMEMBERED_TOKENS = 64
"""Tokens that were accepted; replicas and rotations make a handful."""

REVIEW_RATE = 5.0
"""Reviews a second for one address, over time; ``REVIEW_BURST`` at once."""
REVIEW_BURST = 20

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class OperatorGate:
    """Lets the operator in, and nobody else. ``key`` is "" and ``reviews`` None where not set."""

    def __init__(
        self,
        clock: Clock,
        key: str = "",
        accounts: Collection[str] = (),
        reviews: TokenReviews | None = None,
    ) -> None:
        if _TOKEN.fullmatch(key):
            raise SettingsError(
                "the operator key has the form of a token (three parts with dots between): "
                "expected one without dots, or it would never be compared"
            )
        self._clock = clock
        self._key = _digest(key) if key else None
        self._accounts = frozenset(accounts)
        self._reviews = reviews
        self._limit = TokenBuckets(REVIEW_RATE, REVIEW_BURST)
        self._accepted: OrderedDict[bytes, float] = OrderedDict()

    async def operator(self, request: Request) -> None:
        """Refuse whoever is not the operator."""
        if self._key is None and self._reviews is None:
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "no operator is allowed in: neither an operator key nor an account is set",
            )
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        shown = shown.strip()
        address = request.client.host if request.client is not None else ""
        if scheme.lower() == "bearer" and shown and await self._is_operator(shown, address):
            return
        raise Refusal(
            HTTPStatus.UNAUTHORIZED,
            "authorization: expected Bearer and the operator's key or its ServiceAccount's token",
            {"WWW-Authenticate": "Bearer"},
        )

    async def _is_operator(self, shown: str, address: str) -> bool:
        digest = _digest(shown)
        if _TOKEN.fullmatch(shown) is None:
            return self._key is not None and hmac.compare_digest(digest, self._key)
        if self._reviews is None:
            return False
        return await self._is_account(self._reviews, shown, digest, address)

    async def _is_account(
        self, reviews: TokenReviews, token: str, digest: bytes, address: str
    ) -> bool:
        now = self._clock.monotonic()
        since = self._accepted.get(digest)
        if since is not None and now - since < ACCEPTED_SECONDS:
            return True
        if since is None and (wait := self._limit.take(address, now)):
            raise too_many("too many tokens are to be reviewed", wait)
        if await reviews.account(token) not in self._accounts:
            self._accepted.pop(digest, None)
            return False
        self._accepted[digest] = now
        self._accepted.move_to_end(digest)
        if len(self._accepted) > REMEMBERED_TOKENS:
            self._accepted.popitem(last=False)
        return True


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
