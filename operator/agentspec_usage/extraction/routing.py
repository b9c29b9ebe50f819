"""Which API a request speaks: by provider, method and path. One table drives it.

A path without a row is not metered: its answer tells of no tokens that were used (lists of models,
files), or what looks like usage is none (counting tokens), or is told again elsewhere (batches).

Rows match the end of a path, because where an API begins (``/v1``, ``/api/v1``, ``/openai/v1``) is
the host's own choice. A row of the provider stands before one of everybody's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from agentspec_usage.extraction.providers import table_name
from agentspec_usage.extraction.surface import Surface
from agentspec_usage.extraction.surfaces import SURFACES

__all__ = ["Route", "find_route"]

_MODEL_BYTES = 256
"""A longer name in a path is no model's."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes. ``model`` and ``region`` as far as the path names them.

    ``retrieval``: the request reads a response that was made before, or ends it. ``streaming``: the
    path itself asks for a stream. ``websocket``: the request opens one.
    """

    provider: str
    surface: Surface
    model: str = ""
    region: str = ""
    retrieval: bool = False
    streaming: bool = False
    websocket: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    """``providers`` by their names in the tables; empty is everybody."""

    providers: frozenset[str]
    method: str
    pattern: re.Pattern[str]
    surface: str
    retrieval: bool = False
    streaming: bool = False
    websocket: bool = False


_ALIKE = (
    "openai azure bedrock cerebras databricks deepseek fireworks moonshot openrouter sambanova "
    "together vllm"
)
"""Who counts as OpenAI does: everything inside ``prompt_tokens`` and ``completion_tokens``."""

_VERTEX = r"/locations/(?P<region>[\w-]+)/publishers"


def _post(providers: str, path: str, surface: str, *, streaming: bool = False) -> _Row:
    return _Row(
        frozenset(providers.split()), "POST", re.compile(path + "$"), surface, streaming=streaming
    )


def _again(method: str, path: str, surface: str) -> _Row:
    return _Row(frozenset(), method, re.compile(path + "$"), surface, retrieval=True)


def _socket(path: str, surface: str) -> _Row:
    return _Row(frozenset(), "GET", re.compile(path + "$"), surface, websocket=True)


_ROWS = (
    # Azure names its deployment in the path, the model is in the answer.
    _post("azure", r"/deployments/(?P<model>[^/]+)/chat/completions", "openai.chat"),
    _post("azure", r"/deployments/(?P<model>[^/]+)/completions", "openai.completions"),
    _post("azure", r"/deployments/(?P<model>[^/]+)/embeddings", "openai.embeddings"),
    _post("azure", r"/deployments/(?P<model>[^/]+)/images/(generations|edits)", "openai.images"),
    _post(
        "azure",
        r"/deployments/(?P<model>[^/]+)/audio/(transcriptions|translations)",
        "openai.transcription",
    ),
    _post("databricks", r"/serving-endpoints/(?P<model>[^/]+)/invocations", "openai.chat"),
    _post("snowflake", r"/cortex/inference:complete", "snowflake.chat"),
    _post("cloudflare", r"/ai/run/(?P<model>@.+)", "cloudflare.run"),
    _post("ollama", r"/api/chat", "ollama.native"),
    _post("ollama", r"/api/generate", "ollama.native-generate"),
    _post("ollama", r"/api/embed", "ollama.native-embed"),
    _post("cohere", r"/v[12]/chat", "cohere.chat"),
    _post("cohere", r"/v[12]/embed", "cohere.embed"),
    _post("cohere", r"/v[12]/rerank", "cohere.rerank"),
    _post("mistral", r"/(chat|agents|fim)/completions", "mistral.chat"),
    _post("mistral", r"/conversations(/[^/]+)?", "mistral.chat"),
    _post("mistral", r"/audio/transcriptions", "mistral.transcription"),
    _post("mistral", r"/ocr", "mistral.ocr"),
    _post(_ALIKE, r"/chat/completions", "openai.chat"),
    _post(_ALIKE, r"/completions", "openai.completions"),
    _post("ollama", r"/chat/completions", "ollama.chat"),
    _post("ollama", r"/completions", "ollama.completions"),
    _post("groq", r"/chat/completions", "groq.chat"),
    _post("xai", r"/chat/completions", "xai.chat"),
    _post("snowflake", r"/chat/completions", "snowflake.chat"),
    _post("gemini vertex", r"/chat/completions", "gemini.chat"),
    # Everybody. What only one provider has is told by its path.
    _post("", r"/chat/completions", "compatible.chat"),
    _post("", r"/completions", "compatible.completions"),
    _post("", r"/responses(/compact)?", "openai.responses"),
    _post("", r"/embeddings", "openai.embeddings"),
    _post("", r"/images/(generations|edits|variations)", "openai.images"),
    _post("", r"/audio/(transcriptions|translations)", "openai.transcription"),
    _post("", r"/audio/speech", "openai.speech"),
    _post("", r"/rerank", "compatible.rerank"),
    _post("", r"/v1/messages", "anthropic.messages"),
    _post(
        "",
        # Counting tokens is spelled as if it were a model.
        _VERTEX + r"/anthropic/models/(?!count-tokens:)(?P<model>[^/:]+):rawPredict",
        "anthropic.messages",
    ),
    _post(
        "",
        _VERTEX + r"/anthropic/models/(?P<model>[^/:]+):streamRawPredict",
        "anthropic.messages",
        streaming=True,
    ),
    _post("", _VERTEX + r"/\w+/models/(?P<model>[^/:]+):generateContent", "gemini.generate"),
    _post(
        "",
        _VERTEX + r"/\w+/models/(?P<model>[^/:]+):streamGenerateContent",
        "gemini.generate",
        streaming=True,
    ),
    _post("", _VERTEX + r"/\w+/models/(?P<model>[^/:]+):predict", "vertex.predict"),
    _post("", r"/(models|tunedModels)/(?P<model>[^/:]+):generateContent", "gemini.generate"),
    _post(
        "",
        r"/(models|tunedModels)/(?P<model>[^/:]+):streamGenerateContent",
        "gemini.generate",
        streaming=True,
    ),
    _post("", r"/models/(?P<model>[^/:]+):(embedContent|batchEmbedContents)", "gemini.embed"),
    _post("", r"/interactions", "gemini.interactions"),
    _post("", r"/model/(?P<model>[^/]+)/converse", "bedrock.converse"),
    _post("", r"/model/(?P<model>[^/]+)/converse-stream", "bedrock.converse", streaming=True),
    _post("", r"/model/(?P<model>[^/]+)/invoke", "bedrock.invoke"),
    _post(
        "",
        r"/model/(?P<model>[^/]+)/invoke-with-response-stream",
        "bedrock.invoke",
        streaming=True,
    ),
    _again("GET", r"/chat/completions/[^/]+", "openai.chat"),
    _again("GET", r"/responses/[^/]+", "openai.responses"),
    _again("POST", r"/responses/[^/]+/cancel", "openai.responses"),
    _again("GET", r"/interactions/[^/]+", "gemini.interactions"),
    _again("POST", r"/interactions/[^/]+/cancel", "gemini.interactions"),
    _socket(r"/realtime", "openai.realtime"),
    _socket(r"/live/sessions(/[^/]+/fork)?", "openai.live"),
    _socket(r"/responses", "openai.responses"),
    _socket(r"GenerativeService\.BidiGenerateContent(Constrained)?", "gemini.live"),
    _socket(r"LlmBidiService/BidiGenerateContent", "gemini.live"),
)

_NO_CALL = re.compile(
    r"(/count_tokens|/count-tokens:rawPredict|:countTokens|/input_tokens|/tokenize|/detokenize"
    r"|/moderations|/files|/batches|/models)(/|$)"
)
"""POSTs that use nothing, also where an upstream's configuration names a surface for the rest."""


def find_route(provider: str, method: str, path: str, surface: str = "") -> Route | None:
    """The route of a request, or None where there is nothing to meter.

    ``path`` is the one below the upstream's prefix, a query in it is ignored. ``surface`` names the
    API of an upstream whose paths or provider tell nothing; it has the word for everything that is
    asked with a POST, but what is known to do something else.
    """
    bare = path.partition("?")[0].rstrip("/")
    if not bare.startswith("/"):
        bare = "/" + bare
    name = table_name(provider)
    found: Route | None = None
    for row in _ROWS:
        if row.method != method or (row.providers and name not in row.providers):
            continue
        match = row.pattern.search(bare)
        if match is not None:
            named = match.groupdict()
            found = Route(
                provider,
                SURFACES[row.surface],
                _model(named.get("model") or ""),
                named.get("region") or "",
                row.retrieval,
                row.streaming,
                row.websocket,
            )
            break
    asked = SURFACES.get(surface)
    if asked is None or method != "POST" or _NO_CALL.search(bare) is not None:
        return found
    if found is None:
        return Route(provider, asked)
    if found.retrieval or found.surface.operation != asked.operation:
        return found
    return Route(provider, asked, found.model, found.region, streaming=found.streaming)


def _model(encoded: str) -> str:
    """A model's name as a path has it. Of an ARN only the end: the rest names an account."""
    if len(encoded) > _MODEL_BYTES:
        return ""
    name = unquote(encoded)
    return name.rpartition("/")[2] if name.startswith("arn:") else name
