"""The usage endpoint as the whole of what a server serves, in both interfaces."""

from __future__ import annotations

from agentspec_usage.sdk import UsageLedger, usage_asgi, usage_wsgi

ledger = UsageLedger()
ledger.record("openai/gpt-4o", 100, 20)
asgi = usage_asgi(ledger)
wsgi = usage_wsgi(ledger)
