"""Which entry of the catalogue a provider's name means.

Names come from OpenTelemetry (``gcp.vertex_ai``), from AgentSpec's ``provider/model`` and from
whatever a gateway is called. The catalogue knows some by a pattern ("contains openai"), and a
pattern is a guess: the charge says so. Servers that people run themselves are never guessed at,
because their model names are the same and their costs are not.
"""

from __future__ import annotations

__all__ = ["catalogue_id", "is_self_hosted"]

_IDS = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_openai": "azure",
    "bedrock": "aws",
    "fireworks_ai": "fireworks",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "gemini": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "moonshot_ai": "moonshotai",
    "together_ai": "together",
    "together-ai": "together",
    "vertex_ai": "google",
    "voyage": "voyageai",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "z_ai": "zai",
    "zhipu": "zhipuai",
}
"""Names that mean exactly one entry; an entry's own id needs no line."""

_SELF_HOSTED = frozenset(
    {
        "custom",
        "generic",
        "huggingface_hub",
        "llama.cpp",
        "llama_cpp",
        "llamacpp",
        "lm_studio",
        "lmstudio",
        "local",
        "localai",
        "localhost",
        "ollama",
        "openai-compatible",
        "openai_compatible",
        "self-hosted",
        "self_hosted",
        "sglang",
        "tensorrt_llm",
        "tgi",
        "trt-llm",
        "triton",
        "vllm",
    }
)


def catalogue_id(provider: str) -> str:
    """The entry that ``provider`` may be the id of: its exact meaning, else itself."""
    name = provider.strip().lower()
    return _IDS.get(name, name)


def is_self_hosted(provider: str) -> bool:
    """Whether the name says that no provider is paid for the tokens."""
    return provider.strip().lower() in _SELF_HOSTED
