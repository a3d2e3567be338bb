"""Requests in OpenAI's schema. A parameter that would change the answer and is not supported is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from hswarm.engines.base import LEAST, Output, Sampling
from hswarm.server.ask import FRESH
from hswarm.server.errors import ApiFault

# Unsupported parameters, each with the values that have no effect. Other unknown parameters are ignored.
_NOT_OFFERED: dict[str, tuple[JsonValue, ...]] = {
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "prompt_logprobs": (),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "min_p": (0,),
    "top_k": (-1, 0),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "previous_response_id": (),
    "conversation": (),
    "background": (False,),
    "prompt_template": (),
}
_WHY = {
    "response_format": "there are 'text' and 'json_object'; ask for another format in words",
    "text": "there are 'text' and 'json_object'; ask for another format in words",
    "previous_response_id": "responses are not kept; send the earlier turns in 'input'",
    "conversation": "responses are not kept; send the earlier turns in 'input'",
    "tools": "tools are never called here; set tool_choice to 'none', or leave them out",
}
_TYPES = ("str", "list[str]", "list[Part]", "list[Item]")
_SEEDS = 2**31
_COUNT = 100_000  # a number of answers that is a number; Limits says how many are given
_LOGPROBS = "message.output_text.logprobs"  # what the `include` of /v1/responses calls them
_LIKELIEST = 20  # tokens told in the place of each one of an answer
_STOPS = 16  # texts that end an answer, each looked for at every step; entries of metadata, sent with every event


@dataclass(frozen=True)
class Limits:
    """Limits on one request: new tokens, characters of prompt, bytes of body, answers, seconds."""

    tokens: int = 1024
    characters: int = 100_000
    body: int = 1_000_000
    prompts: int = 64
    seconds: float = 120.0


class Part(BaseModel):
    """A part of a message; only text is supported."""

    type: str
    text: str = ""
    refusal: str = ""


class Call(BaseModel):
    """A tool that the assistant called, in an earlier turn; what a custom tool is given is its `input`."""

    class Function(BaseModel):
        name: str = ""
        arguments: str = ""
        input: str = ""

    function: Function | None = None
    custom: Function | None = None

    def __str__(self) -> str:
        called = self.function or self.custom or Call.Function()
        return _called(called.name, called.arguments or called.input)


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None

    def words(self, place: str) -> str:
        """The message's text; ApiFault for anything else."""
        called = list(map(str, self.tool_calls or []))
        return "\n".join([text for text in [words(self.content, place), *called] if text])


class Format(BaseModel):
    """The form of an answer."""

    type: str = "text"


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class Extension(BaseModel):
    """Our extension field: `trace` adds every node's prompt and reply."""

    model_config = ConfigDict(extra="forbid")

    trace: bool = False


class AskRequest(BaseModel):
    """The fields that all endpoints share."""

    model_config = ConfigDict(extra="allow")

    model: str
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=_STOPS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[JsonValue] | None = None
    tool_choice: JsonValue = None
    response_format: Format | None = None
    hswarm: Extension = Extension()

    @classmethod
    def read(cls, body: bytes) -> Self:
        """The request in `body`. ApiFault (400) names what is wrong with it."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as fault:
            first, *more = fault.errors(include_url=False)
        if first["type"] == "json_invalid":
            raise ApiFault(400, f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}")
        # where a value may have several types, the location includes our type's name, which means nothing to a client
        place = ".".join(str(part) for part in first["loc"] if part not in _TYPES)
        others = f" (and {len(more)} more)" if more else ""
        raise ApiFault(400, f"{place or 'body'}: {first['msg']}{others}", place or None)

    @property
    def trace(self) -> bool:
        return self.hswarm.trace

    @property
    def usage_at_end(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def stops(self) -> tuple[str, ...]:
        """Stop sequences; they are not part of the answer."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(stop for stop in stops if stop)

    @property
    def longest(self) -> int | None:
        """The requested maximum of new tokens."""
        raise NotImplementedError

    @property
    def likeliest(self) -> int | None:
        """The `logprobs` of Output."""
        return None

    @property
    def format(self) -> tuple[str, str]:
        """The name of the field that says the answer's format, and the format."""
        return "response_format", self.response_format.type if self.response_format else "text"

    @property
    def output(self) -> Output:
        """What is asked of the answer beside its text."""
        return Output(self.likeliest, self.format[1] == "json_object")

    @property
    def count(self) -> int:
        """Answers to each question."""
        return 1

    def prompts(self) -> list[str]:
        """The question for the system."""
        raise NotImplementedError

    def questions(self) -> list[str]:
        """The questions for the system, one for each answer."""
        return [prompt for prompt in self.prompts() for _ in range(self.count)]

    def check(self, limits: Limits, lacking: Mapping[str, str]) -> None:
        """ApiFault for unsupported parameters and for values beyond `limits`.

        `lacking`: the fields of Output that the system's answers cannot have, each with the reason.
        """
        for name, neutral in _NOT_OFFERED.items():
            value = (self.model_extra or {}).get(name)
            if value is not None and value not in neutral:
                raise _not_offered(name)
        if self.tools and self.tool_choice != "none":
            raise _not_offered("tools")
        self._check_output(lacking)
        for name, number in (("temperature", self.temperature), ("top_p", self.top_p)):
            if number is not None and number < LEAST and (number or name == "top_p"):
                zero = "0 (the most likely word) or " if name == "temperature" else ""
                raise ApiFault(400, f"{name} is {zero}at least {LEAST:g}, got {number:g}", name)
        prompts = self.prompts()
        if (asked := len(prompts) * self.count) > limits.prompts:  # before a list of that length is made
            raise ApiFault(400, f"at most {limits.prompts} answers a request, {asked} were asked for", "n")
        if not all(map(str.strip, prompts)):
            raise ApiFault(400, "there is no text to answer; send a message of the user with some")
        if (length := max(map(len, prompts))) > limits.characters:
            raise ApiFault(
                400,
                f"the prompt has {length} characters, the limit is {limits.characters}; shorten it",
                code="context_length_exceeded",
            )

    def _check_output(self, lacking: Mapping[str, str]) -> None:
        name, kind = self.format
        if kind not in ("text", "json_object"):
            raise _not_offered(name)
        if self.output.json and "json" in lacking:
            raise _not_offered(name, lacking["json"])
        if self.likeliest is not None and "logprobs" in lacking:
            raise _not_offered("logprobs", lacking["logprobs"])

    def samplings(self, found: Sampling, limits: Limits, answer: int) -> tuple[Sampling, Sampling]:
        """The sampling of the nodes for answer number `answer`, and that of the sink.

        What the request leaves out stays as in the search; new tokens are cut to `limits`.
        """
        temperature = found.temperature if self.temperature is None else self.temperature
        drawn = FRESH if self.seed is None else (self.seed + answer % self.count) % _SEEDS
        top_p = found.top_p if self.top_p is None else self.top_p
        nodes = replace(found, temperature=temperature, top_p=top_p, seed=drawn if temperature else found.seed)
        most = min(self.longest, limits.tokens) if self.longest else found.max_new_tokens
        return nodes, replace(nodes, max_new_tokens=most)


class ChatRequest(AskRequest):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    n: int | None = Field(None, ge=1, le=_COUNT)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=_LIKELIEST)

    @property
    def longest(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def likeliest(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def count(self) -> int:
        return self.n or 1

    def prompts(self) -> list[str]:
        return [conversation([(m.role, m.words(f"messages.{i}.content")) for i, m in enumerate(self.messages)])]


class CompletionRequest(AskRequest):
    """POST /v1/completions."""

    prompt: str | list[str] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    n: int | None = Field(None, ge=1, le=_COUNT)
    logprobs: Annotated[int, Field(ge=0, le=_LIKELIEST)] | None = None

    @field_validator("logprobs", mode="before")
    @classmethod
    def _number(cls, logprobs: object) -> object:
        """Clients of chats send false here too."""
        return None if logprobs is False else logprobs

    @field_validator("prompt", mode="before")
    @classmethod
    def _text(cls, prompt: object) -> object:
        """PydanticCustomError for numbers of tokens: the nodes may have several tokenizers."""
        first = prompt[0] if isinstance(prompt, list) and prompt else None
        if isinstance(first, int) or (isinstance(first, list) and first and isinstance(first[0], int)):
            raise PydanticCustomError("tokens", "token numbers are not supported; send text")
        return prompt

    @property
    def longest(self) -> int | None:
        return self.max_tokens

    @property
    def likeliest(self) -> int | None:
        return self.logprobs

    @property
    def count(self) -> int:
        return self.n or 1

    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


class Item(BaseModel):
    """An item of /v1/responses' input: a message, a tool call, or a tool's result."""

    type: str = "message"
    role: Literal["system", "developer", "user", "assistant"] = "user"
    content: str | list[Part] | None = None
    name: str = ""
    arguments: str = ""
    input: str = ""
    output: str | list[Part] = ""

    def said(self, place: str) -> tuple[str, str] | None:
        """(role, text); None for an item that is not part of the conversation."""
        if self.type == "message":
            return self.role, words(self.content, f"{place}.content")
        if self.type in ("function_call", "custom_tool_call"):
            return "assistant", _called(self.name, self.arguments or self.input)
        if self.type in ("function_call_output", "custom_tool_call_output"):
            return "tool", words(self.output, f"{place}.output")
        if self.type == "reasoning":
            return None
        raise ApiFault(400, f"input of type '{self.type}' is not supported; send messages", place)


class TextSettings(BaseModel):
    format: Format = Format()


class ResponseRequest(AskRequest):
    """POST /v1/responses."""

    input: str | list[Item] = Field(min_length=1)
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    metadata: Annotated[dict[str, str], Field(max_length=_STOPS)] | None = None
    text: TextSettings | None = None
    include: list[str] | None = None
    top_logprobs: int | None = Field(None, ge=0, le=_LIKELIEST)

    @property
    def longest(self) -> int | None:
        return self.max_output_tokens

    @property
    def likeliest(self) -> int | None:
        return (self.top_logprobs or 0) if _LOGPROBS in (self.include or ()) else None

    @property
    def format(self) -> tuple[str, str]:
        return "text", self.text.format.type if self.text else "text"

    def prompts(self) -> list[str]:
        items = [Item(content=self.input)] if isinstance(self.input, str) else self.input
        said = [found for i, item in enumerate(items) if (found := item.said(f"input.{i}"))]
        before = [("system", self.instructions)] if self.instructions else []
        return [conversation([*before, *said])]


def _called(name: str, given: str) -> str:
    return f"(calls {name} with {given})"


def words(content: str | Sequence[Part] | None, place: str) -> str:
    """The text of a message's content. ApiFault for images, sound and files."""
    if content is None or isinstance(content, str):
        return content or ""
    for part in content:
        if part.type not in ("text", "input_text", "output_text", "refusal"):
            raise ApiFault(400, f"content of type '{part.type}' is not supported; send text", place)
    return "\n".join(part.text or part.refusal for part in content)


def conversation(turns: Sequence[tuple[str, str]]) -> str:
    """One question made of a conversation: instructions, the earlier turns, the user's last message.

    If the last message is not the user's, every message is an earlier turn, and the question asks for the next one.
    """
    instructions = [text for role, text in turns if role in ("system", "developer") and text]
    said = [(role, text) for role, text in turns if role not in ("system", "developer")]
    last = (
        [said.pop()[1]] if said and said[-1][0] == "user" else ["Write the assistant's next message."] if said else []
    )
    before = ["\n".join(["Said before:", *(f"{role.capitalize()}: {text}" for role, text in said)])] if said else []
    return "\n\n".join([*instructions, *before, *last])


def _not_offered(name: str, why: str = "") -> ApiFault:
    why = why or _WHY.get(name, "leave it out")
    return ApiFault(400, f"'{name}' is not supported here: {why}", name, "unsupported_parameter")
