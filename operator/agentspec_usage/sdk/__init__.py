"""The SDK: an agent that counts what it uses, in five lines, and never notices.

Nothing here imports a third party: what pushes imports httpx when it starts, and the wrappers take
objects of packages that the agent has already. ``agentspec_usage.sdk.langchain`` alone is imported
by name, because its handler is a class of LangChain's.
"""

from __future__ import annotations

from agentspec_usage.sdk.asgi import usage_asgi
from agentspec_usage.sdk.call_model import instrument_call_model
from agentspec_usage.sdk.context import usage_context
from agentspec_usage.sdk.ledger import UsageLedger
from agentspec_usage.sdk.provider_client import instrument_anthropic, instrument_openai
from agentspec_usage.sdk.reporter import Reporter
from agentspec_usage.sdk.wsgi import usage_wsgi, with_usage

__all__ = [
    "Reporter",
    "UsageLedger",
    "instrument_anthropic",
    "instrument_call_model",
    "instrument_openai",
    "usage_asgi",
    "usage_context",
    "usage_wsgi",
    "with_usage",
]
