"""Whose ServiceAccount token it is: the API server alone can say, and it is asked (TokenReview).

A token is made for an audience. One that was made for another program, the API server among them,
is refused here, so that no program that was shown such a token can speak in its owner's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Protocol

from agentspec_usage.kube.errors import ApiError
from agentspec_usage.kube.http import KubeHttp
from agentspec_usage.serving.problems import Refusal

__all__ = ["KubeTokenReviews", "TokenReviews", "account_in"]

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
_PREFIX = "system:serviceaccount:"
_UNREACHED_SECONDS = 5


class TokenReviews(Protocol):
    """Says whose token one is."""

    async def account(self, token: str) -> str:
        """``namespace/name`` of the token's ServiceAccount; "" for a token that is good for
        nothing here. Raises ``Refusal`` when that cannot be found out now."""
        ...


class KubeTokenReviews:
    """Asks the API server."""

    def __init__(self, http: KubeHttp, audience: str) -> None:
        self._http = http
        self._audience = audience

    async def account(self, token: str) -> str:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        try:
            answer = await self._http.json("POST", _PATH, body=review)
        except ApiError as error:
            # Its message may repeat what was sent.
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the API server cannot be asked whose token this is",
                {"Retry-After": str(_UNREACHED_SECONDS)},
            ) from error
        return account_in(answer, self._audience)


def account_in(answer: Any, audience: str) -> str:
    """The ServiceAccount that a review found, "" where it found none for ``audience``."""
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, dict) or status.get("authenticated") is not True:
        return ""
    # A server that knows of no audiences leaves the field out, and vouches for none.
    audiences = status.get("audiences")
    if not isinstance(audiences, Sequence) or audience not in audiences:
        return ""
    user = status.get("user")
    name = user.get("username") if isinstance(user, dict) else None
    if not isinstance(name, str) or not name.startswith(_PREFIX):
        return ""
    namespace, _, account = name.removeprefix(_PREFIX).partition(":")
    return f"{namespace}/{account}" if namespace and account else ""
