"""What goes wrong between us and the API server, as one exception.

A refusal and a server that does not answer are the same exception, told apart by its status: every
caller has to live with both at every call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentspec_usage.errors import ClusterError

__all__ = ["ApiError"]


class ApiError(ClusterError):
    """The API server refused (``status`` is HTTP's) or did not answer (``status`` is 0).

    ``reason`` is Kubernetes' own word (``Conflict``, ``Expired``), ``causes`` what a validation
    names, ``retry_after`` the seconds that the server asks for.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        causes: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(f"{status or 'no answer'} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = tuple(causes)

    @property
    def expired(self) -> bool:
        """The resourceVersion or continue token is too old: only a new LIST helps."""
        return self.status == 410 or self.reason in ("Expired", "Gone")

    @classmethod
    def from_status(
        cls,
        status: Mapping[str, Any],
        *,
        code: int,
        fallback: str,
        retry_after: float | None = None,
    ) -> ApiError:
        """From a ``metav1.Status``, in an answer's body or in a watch's ERROR event."""
        details = status.get("details")
        details = details if isinstance(details, Mapping) else {}
        causes = details.get("causes")
        seconds = details.get("retryAfterSeconds")
        if retry_after is None and isinstance(seconds, int):
            retry_after = float(seconds)
        return cls(
            code,
            str(status.get("reason") or fallback),
            str(status.get("message") or "no message"),
            retry_after=retry_after,
            causes=[cause for cause in causes if isinstance(cause, Mapping)]
            if isinstance(causes, list)
            else (),
        )
