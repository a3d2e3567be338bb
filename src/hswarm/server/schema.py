"""What a client may ask for, in OpenAI's words. What is not offered is refused, not ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hswarm.engines.base import Sampling
from hswarm.server.batcher import FRESH
from hswarm.server.errors import ApiFault

# Parameters that are not offered, each with the values that ask for nothing.
_NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
}


@dataclass(frozen=True)
class Limits:
    """What one request may take: new tokens, characters of prompt, bytes of body, prompts, seconds."""

    tokens: int = 1024
    characters: int = 100_000
    body: int = 1_000_000
    prompts: int = 64
    seconds: float = 120.0


class Part(BaseModel):
    """A piece of a message; only text is understood."""

    type: str
    text: str = ""


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] = ""

    def text(self, place: int) -> str:
        """The message's words."""
        if isinstance(self.content, str):
            return self.content
        for part in self.content:
            if part.type != "text":
                raise ApiFault(
                    400, f"content of type '{part.type}' is not understood; send text", f"messages.{place}.content"
                )
        return "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class Extension(BaseModel):
    """Our own field: `trace` adds what every node read and said."""

    model_config = ConfigDict(extra="forbid")

    trace: bool = False


class AskRequest(BaseModel):
    """What both endpoints share."""

    model_config = ConfigDict(extra="allow")

    model: str
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0)
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    hswarm: Extension = Extension()

    @property
    def trace(self) -> bool:
        return self.hswarm.trace

    @property
    def usage_at_end(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end an answer; they are not part of it."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(stop for stop in stops if stop)

    @property
    def longest(self) -> int | None:
        """The most new tokens of the answer that were asked for."""
        return self.max_tokens

    def questions(self) -> list[str]:
        """What is put to the system, one an answer."""
        raise NotImplementedError

    def check(self, limits: Limits) -> None:
        """ApiFault for what is not offered or beyond `limits`."""
        for name, neutral in _NOT_OFFERED.items():
            value = (self.model_extra or {}).get(name)
            if value is not None and value not in neutral:
                raise ApiFault(400, f"'{name}' is not offered here; leave it out", name, "unsupported_parameter")
        if self.longest is not None and self.longest > limits.tokens:
            raise ApiFault(
                400, f"at most {limits.tokens} new tokens are given here, {self.longest} were asked for", "max_tokens"
            )
        questions = self.questions()
        if len(questions) > limits.prompts:
            raise ApiFault(400, f"at most {limits.prompts} prompts a request, got {len(questions)}", "prompt")
        if (length := max(map(len, questions))) > limits.characters:
            raise ApiFault(
                400,
                f"the prompt has {length} characters, the limit is {limits.characters}; shorten it",
                code="context_length_exceeded",
            )

    def samplings(self, found: Sampling) -> tuple[Sampling, Sampling]:
        """How the nodes draw, and how the sink does. What is not asked for stays as the system was found with."""
        temperature = found.temperature if self.temperature is None else self.temperature
        seed = found.seed if not temperature else FRESH if self.seed is None else self.seed
        top_p = found.top_p if self.top_p is None else self.top_p
        nodes = replace(found, temperature=temperature, top_p=top_p, seed=seed)
        return nodes, replace(nodes, max_new_tokens=self.longest or found.max_new_tokens)


class ChatRequest(AskRequest):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)

    @property
    def longest(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def questions(self) -> list[str]:
        texts = [(message.role, message.text(place)) for place, message in enumerate(self.messages)]
        if texts[-1][0] != "user":
            raise ApiFault(400, f"the last message must be the user's, got the {texts[-1][0]}'s", "messages")
        return [_conversation(texts)]


class CompletionRequest(AskRequest):
    """POST /v1/completions."""

    prompt: str | list[str] = Field(min_length=1)

    def questions(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


def _conversation(texts: Sequence[tuple[str, str]]) -> str:
    """One question out of many messages: instructions, what was said before, the last word."""
    instructions = [text for role, text in texts[:-1] if role in ("system", "developer")]
    said = [f"{role.capitalize()}: {text}" for role, text in texts[:-1] if role in ("user", "assistant")]
    before = ["\n".join(["Said before:", *said])] if said else []
    return "\n\n".join([*instructions, *before, texts[-1][1]])
