"""What the control plane answers to observations: what each agent costs, both ways.

    {agents: [{namespace, name, today, month, cost, tail, chargedAs?}],
     todayEnds, monthEnds, ledger?}
    today, month   {tokens, cost}
    cost           {status, amount?, currency?, unpricedTokens?}, null where nothing was used
    tail           {tokens, calls}: used and not delivered yet; it is in the other numbers
    chargedAs      the agent of the namespace that is charged what is read of this one's pods, where
                   that is another: the other numbers are without it

An amount is in one currency, that of the present prices; what is charged in another one, or has no
price, is in ``unpricedTokens`` and in no amount: unknown is not zero. ``Exact`` says that every
charge in it is final but for corrections, ``Estimated`` that some are not (a tail is always an
estimate).

``today`` and ``month`` are those of the control plane's zone, so it says when they end: a reader
that gets no new answer knows by that when they are over. ``ledger`` is the newest signed head of
the journal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from agentspec_usage.errors import WireError
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.shapes import Count, Shape, Time, wire_error

__all__ = [
    "MAX_ANSWER",
    "AgentSaid",
    "CostSaid",
    "CostShape",
    "LedgerSaid",
    "ObservedAnswer",
    "ObservedAnswerBody",
    "PeriodSaid",
    "PeriodShape",
    "TailShape",
    "decode_observed_answer",
    "encode_observed_answer",
]

MAX_ANSWER = 1024 * 1024
"""Bytes of an answer: an agent takes about 400."""

_DECIMALS = 12
_PICO = 10**12

CostStatus = Literal["Exact", "Estimated", "Unpriced"]


@dataclass(frozen=True, slots=True)
class CostSaid:
    """What tokens cost, in 10^-12 of a currency.

    ``Unpriced`` has neither amount nor currency: none of the tokens has a price. An amount below
    zero is a period's whose corrections exceed it.
    """

    status: CostStatus
    pico: int = 0
    currency: str = ""
    unpriced_tokens: int = 0


@dataclass(frozen=True, slots=True)
class PeriodSaid:
    """What was used in a period; ``cost`` is None where nothing was."""

    tokens: int = 0
    cost: CostSaid | None = None


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """What one agent used: today, this month, and ever (``cost``)."""

    namespace: str
    name: str
    today: PeriodSaid
    month: PeriodSaid
    cost: CostSaid | None = None
    tail_tokens: int = 0
    tail_calls: int = 0
    charged_as: str = ""


@dataclass(frozen=True, slots=True)
class LedgerSaid:
    """A signed head of the journal: so many items, this root (64 hex digits), by this key."""

    size: int
    root: str
    key_id: str
    at: int


@dataclass(frozen=True, slots=True)
class ObservedAnswer:
    """The agents that were asked for and are known, each once. Times are milliseconds."""

    agents: tuple[AgentSaid, ...]
    today_ends: int
    month_ends: int
    ledger: LedgerSaid | None = None


def encode_observed_answer(answer: ObservedAnswer) -> bytes:
    fields: dict[str, object] = {
        "agents": [
            {
                "namespace": agent.namespace,
                "name": agent.name,
                "today": _period(agent.today),
                "month": _period(agent.month),
                "cost": _cost(agent.cost),
                "tail": {"tokens": agent.tail_tokens, "calls": agent.tail_calls},
                **({"chargedAs": agent.charged_as} if agent.charged_as else {}),
            }
            for agent in answer.agents
        ],
        "todayEnds": to_rfc3339(answer.today_ends),
        "monthEnds": to_rfc3339(answer.month_ends),
    }
    if (ledger := answer.ledger) is not None:
        fields["ledger"] = {
            "size": ledger.size,
            "root": ledger.root,
            "keyId": ledger.key_id,
            "at": to_rfc3339(ledger.at),
        }
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def decode_observed_answer(body: bytes) -> ObservedAnswer:
    """Raises ``WireError`` for anything that is not such an answer."""
    document = strict_json.loads(body, max_bytes=MAX_ANSWER)
    if not isinstance(document, dict):
        raise WireError("", "an object")
    try:
        return ObservedAnswerBody.model_validate(document).answer()
    except ValidationError as error:
        raise wire_error(error) from None


def _period(period: PeriodSaid) -> dict[str, object]:
    return {"tokens": period.tokens, "cost": _cost(period.cost)}


def _cost(cost: CostSaid | None) -> dict[str, object] | None:
    if cost is None:
        return None
    fields: dict[str, object] = {"status": cost.status}
    if cost.currency:
        fields["amount"] = _decimal(cost.pico)
        fields["currency"] = cost.currency
    if cost.unpriced_tokens:
        fields["unpricedTokens"] = cost.unpriced_tokens
    return fields


class CostShape(Shape):
    """``cost`` on the wire, and in a status."""

    status: CostStatus
    amount: Annotated[str | None, Field(pattern=r"^-?[0-9]{1,19}(\.[0-9]{1,12})?$")] = None
    currency: Annotated[str | None, Field(pattern=r"^[A-Z]{3}$")] = None
    unpriced_tokens: Count = 0

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        priced = self.status != "Unpriced"
        if (self.amount is not None, self.currency is not None) != (priced, priced):
            raise PydanticCustomError(
                "cost", "Input should be an amount with its currency, or Unpriced without one"
            )
        return self

    def cost(self) -> CostSaid:
        pico = 0 if self.amount is None else _pico(self.amount)
        return CostSaid(self.status, pico, self.currency or "", self.unpriced_tokens)


class PeriodShape(Shape):
    """``today`` and ``month``."""

    tokens: Count
    cost: CostShape | None = None

    def period(self) -> PeriodSaid:
        return PeriodSaid(self.tokens, _cost_or_none(self.cost))


class TailShape(Shape):
    """``tail``."""

    tokens: Count = 0
    calls: Count = 0


_NO_TAIL = TailShape()


class _Agent(Shape):
    namespace: Annotated[str, Field(max_length=63)]
    name: Annotated[str, Field(max_length=253)]
    today: PeriodShape
    month: PeriodShape
    cost: CostShape | None = None
    tail: TailShape = _NO_TAIL
    charged_as: Annotated[str, Field(max_length=253)] = ""

    def said(self) -> AgentSaid:
        return AgentSaid(
            self.namespace,
            self.name,
            self.today.period(),
            self.month.period(),
            _cost_or_none(self.cost),
            self.tail.tokens,
            self.tail.calls,
            self.charged_as,
        )


class _Ledger(Shape):
    size: Count
    root: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    key_id: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")]
    at: Time

    def said(self) -> LedgerSaid:
        return LedgerSaid(self.size, self.root, self.key_id, self.at)


class ObservedAnswerBody(Shape):
    """The answer's body."""

    agents: list[_Agent]
    today_ends: Time
    month_ends: Time
    ledger: _Ledger | None = None

    def answer(self) -> ObservedAnswer:
        return ObservedAnswer(
            tuple(agent.said() for agent in self.agents),
            self.today_ends,
            self.month_ends,
            None if self.ledger is None else self.ledger.said(),
        )


def _cost_or_none(cost: CostShape | None) -> CostSaid | None:
    return None if cost is None else cost.cost()


def _decimal(pico: int) -> str:
    """The amount without an exponent and without trailing zeros."""
    whole, fraction = divmod(abs(pico), _PICO)
    decimals = f"{fraction:0{_DECIMALS}d}".rstrip("0")
    sign = "-" if pico < 0 else ""
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def _pico(text: str) -> int:
    """By digits, since no float and no context's precision may touch an amount."""
    whole, _, decimals = text.removeprefix("-").partition(".")
    pico = int(whole) * _PICO + int(decimals.ljust(_DECIMALS, "0"))
    return -pico if text.startswith("-") else pico
