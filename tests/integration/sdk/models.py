"""A chat model of LangChain's that calls the real ``openai`` client, as integrations do.

``says_id`` is whether its messages carry the provider's response id: some integrations do not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from openai import AsyncOpenAI, OpenAI
from openai.types import CompletionUsage

__all__ = ["ChatModel", "usage_metadata_of"]


def usage_metadata_of(usage: CompletionUsage) -> Any:
    """OpenAI's usage in LangChain's shape."""
    read, thought = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "input_token_details": {"cache_read": (read and read.cached_tokens) or 0},
        "output_token_details": {"reasoning": (thought and thought.reasoning_tokens) or 0},
    }


class ChatModel(BaseChatModel):
    """``n`` is how many choices a call asks for."""

    client: Any
    async_client: Any = None
    says_id: bool = True
    n: int = 1

    @property
    def _llm_type(self) -> str:
        return "test"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        client: OpenAI = self.client
        answer = client.chat.completions.create(model="gpt-5", messages=_ASKED)
        return self._result(answer)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        client: AsyncOpenAI = self.async_client
        answer = await client.chat.completions.create(model="gpt-5", messages=_ASKED)
        return self._result(answer)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        client: OpenAI = self.client
        for chunk in client.chat.completions.create(
            model="gpt-5",
            messages=_ASKED,
            stream=True,
            stream_options={"include_usage": True},
        ):
            yield self._chunk(chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        client: AsyncOpenAI = self.async_client
        async for chunk in await client.chat.completions.create(
            model="gpt-5",
            messages=_ASKED,
            stream=True,
            stream_options={"include_usage": True},
        ):
            yield self._chunk(chunk)

    def _result(self, answer: Any) -> ChatResult:
        said = {"model_provider": "openai", "model_name": answer.model}
        if self.says_id:
            said["id"] = answer.id
        message = AIMessage(
            answer.choices[0].message.content,
            usage_metadata=usage_metadata_of(answer.usage),
            response_metadata=said,
        )
        return ChatResult(generations=[ChatGeneration(message=message)] * self.n)

    def _chunk(self, chunk: Any) -> ChatGenerationChunk:
        message = AIMessageChunk(
            content=chunk.choices[0].delta.content or "" if chunk.choices else "",
            usage_metadata=usage_metadata_of(chunk.usage) if chunk.usage else None,
            response_metadata=(
                {"model_provider": "openai", "model_name": chunk.model} if chunk.usage else {}
            ),
        )
        if self.says_id and chunk.usage:
            message.response_metadata["id"] = chunk.id
        return ChatGenerationChunk(message=message)


_ASKED: Any = [{"role": "user", "content": "Hello!"}]
