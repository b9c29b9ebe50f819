"""The surfaces that are read, by name. A name is also what an upstream's configuration may say.

Adding an API is adding a row here, and one in ``routing`` that says at which paths it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agentspec_usage.extraction.dialects.anthropic import Messages
from agentspec_usage.extraction.dialects.bedrock import Converse, InvokeModel
from agentspec_usage.extraction.dialects.cohere import Cohere
from agentspec_usage.extraction.dialects.gemini import GenerateContent, Interactions, Predict
from agentspec_usage.extraction.dialects.mistral import MistralChat, Ocr
from agentspec_usage.extraction.dialects.ollama import Ollama
from agentspec_usage.extraction.dialects.openai import ChatCompletions, Embeddings, Responses
from agentspec_usage.extraction.dialects.openai_media import Images, Realtime, Sound
from agentspec_usage.extraction.surface import Surface
from agentspec_usage.extraction.usage.openai import Counting

__all__ = ["SURFACES"]

_INSIDE = ChatCompletions(Counting.INSIDE)
_UNKNOWN = ChatCompletions(Counting.BY_TOTAL)

_ROWS = (
    # OpenAI, and those who count as it does (Azure, DeepSeek, vLLM, OpenRouter, Databricks, ...).
    Surface("openai.chat", "chat", _INSIDE, include_usage=True, retrievable=True),
    Surface("openai.completions", "text_completion", _INSIDE, include_usage=True),
    Surface("openai.responses", "chat", Responses(), retrievable=True, stored=True),
    Surface("openai.embeddings", "embeddings", Embeddings(), unique_ids=False),
    Surface("openai.images", "image", Images(), unique_ids=False),
    Surface("openai.transcription", "transcription", Sound(), unique_ids=False),
    Surface("openai.speech", "speech", Sound(), unique_ids=False),
    Surface("openai.realtime", "realtime", Realtime()),
    Surface("openai.live", "realtime", Responses()),
    # Servers that nobody knows, in OpenAI's shape: the total decides what stands beside.
    Surface("compatible.chat", "chat", _UNKNOWN, include_usage=True),
    Surface("compatible.completions", "text_completion", _UNKNOWN, include_usage=True),
    Surface("compatible.rerank", "rerank", Embeddings(), unique_ids=False),
    Surface("anthropic.messages", "chat", Messages()),
    Surface("gemini.generate", "generate_content", GenerateContent()),
    Surface("gemini.embed", "embeddings", GenerateContent(), unique_ids=False),
    Surface("gemini.live", "realtime", GenerateContent()),
    Surface("gemini.interactions", "chat", Interactions(), retrievable=True, stored=True),
    Surface("gemini.chat", "chat", ChatCompletions(Counting.REST_IS_REASONING), include_usage=True),
    Surface("vertex.predict", "embeddings", Predict(), unique_ids=False),
    Surface("bedrock.converse", "chat", Converse()),
    Surface("bedrock.invoke", "chat", InvokeModel()),
    Surface("mistral.chat", "chat", MistralChat()),
    Surface("mistral.transcription", "transcription", MistralChat(), unique_ids=False),
    Surface("mistral.ocr", "ocr", Ocr(), unique_ids=False),
    Surface("cohere.chat", "chat", Cohere(), lines=True),
    Surface("cohere.embed", "embeddings", Cohere()),
    Surface("cohere.rerank", "rerank", Cohere()),
    Surface("ollama.native", "chat", Ollama(), unique_ids=False, lines=True),
    Surface("ollama.native-generate", "text_completion", Ollama(), unique_ids=False, lines=True),
    Surface("ollama.native-embed", "embeddings", Ollama(), unique_ids=False),
    # Ollama numbers its answers from 0 to 998 and begins again.
    Surface("ollama.chat", "chat", _INSIDE, unique_ids=False, include_usage=True),
    Surface("ollama.completions", "text_completion", _INSIDE, unique_ids=False, include_usage=True),
    # Groq shows usage in every stream's last chunk, asked or not.
    Surface("groq.chat", "chat", _INSIDE),
    Surface("xai.chat", "chat", ChatCompletions(Counting.REASONING_BESIDE), include_usage=True),
    Surface("snowflake.chat", "chat", ChatCompletions(Counting.CACHE_BESIDE)),
    Surface("cloudflare.run", "chat", ChatCompletions(Counting.INSIDE, "result"), unique_ids=False),
)

SURFACES: Mapping[str, Surface] = MappingProxyType({row.name: row for row in _ROWS})
