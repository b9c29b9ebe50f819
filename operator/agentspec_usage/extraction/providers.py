"""The names under which a provider may be configured, and the one that the tables use.

OpenTelemetry, LiteLLM, price catalogues and people spell providers differently. A call is shown
under the name that was configured; which API it speaks is looked up under the table's.
"""

from __future__ import annotations

__all__ = ["table_name"]

_NAMES = {
    "openai": "openai",
    "azure": "azure azure.ai.openai azure.ai.inference azure_openai azure-openai azure_ai",
    "anthropic": "anthropic",
    "bedrock": "bedrock aws aws.bedrock aws_bedrock amazon-bedrock",
    "gemini": "gemini google gcp.gemini gcp.gen_ai google_genai google-gla google_ai",
    "vertex": "vertex vertexai vertex_ai vertex-ai gcp.vertex_ai google-vertex google_vertexai",
    "mistral": "mistral mistralai mistral_ai",
    "cohere": "cohere",
    "ollama": "ollama",
    "vllm": "vllm hosted_vllm",
    "deepseek": "deepseek",
    "groq": "groq",
    "xai": "xai x-ai x_ai grok",
    "openrouter": "openrouter",
    "databricks": "databricks",
    "snowflake": "snowflake",
    "cloudflare": "cloudflare cloudflare-workers-ai",
    "together": "together together_ai togetherai",
    "fireworks": "fireworks fireworks_ai",
    "cerebras": "cerebras",
    "sambanova": "sambanova",
    "moonshot": "moonshot moonshotai",
}

_TABLE_NAME = {alias: name for name, aliases in _NAMES.items() for alias in aliases.split()}


def table_name(provider: str) -> str:
    """The name of ``provider`` in the tables; "" for one that they do not know."""
    return _TABLE_NAME.get(provider.lower(), "")
