"""Token metering and chargeback for AI agents on Kubernetes."""

__version__ = "0.1.0"
