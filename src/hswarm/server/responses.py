"""The objects sent to clients: completions, chunks, usage, and the nodes' replies."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import Protocol

from pydantic import JsonValue

from hswarm.engines.base import TokenLogprob
from hswarm.server.ask import Ask

Json = dict[str, JsonValue]


class Shape(Protocol):
    """The objects of one reply, in the shape of one endpoint. Each method but `whole` gives lines of a stream."""

    def whole(self, asks: Sequence[Ask], stops: Sequence[str], trace: bool) -> Json:
        """The reply to a request that is not streamed."""

    def opening(self, i: int) -> list[str]:
        """Before the words of answer `i`."""

    def piece(self, i: int, text: str) -> list[str]:
        """More words of answer `i`."""

    def closing(self, i: int, ask: Ask, stops: Sequence[str]) -> list[str]:
        """After the last words of answer `i`."""

    def event(self, i: int, event: Json) -> list[str]:
        """Our extension: an event at a node. Other clients ignore it."""

    def end(self, asks: Sequence[Ask], with_usage: bool) -> list[str]:
        """After all answers."""

    def fault(self, body: Json) -> list[str]:
        """In place of the rest, when there is no answer."""


class Completions:
    """Objects of "chat.completion" or "text_completion"."""

    def __init__(self, chat: bool, model: str) -> None:
        self._chat = chat
        prefix, kind = ("chatcmpl", "chat.completion") if chat else ("cmpl", "text_completion")
        self._whole: Json = {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": model,
        }
        self._chunk = self._whole | ({"object": "chat.completion.chunk"} if chat else {})

    def whole(self, asks: Sequence[Ask], stops: Sequence[str], trace: bool) -> Json:
        choices: list[JsonValue] = [
            self._choice(i, {"message": {"role": "assistant", "content": text, "refusal": None}}, text, reason)
            | self._logprobs(asks[i], text)
            for i, (text, reason) in enumerate(answer(ask, stops) for ask in asks)
        ]
        return self._whole | {"choices": choices, "usage": usage(asks)} | traced(asks, trace)

    def opening(self, i: int) -> list[str]:
        return self._line({"choices": [self._choice(i, {"delta": {"role": "assistant", "content": ""}}, "", None)]})

    def piece(self, i: int, text: str) -> list[str]:
        return self._line({"choices": [self._choice(i, {"delta": {"content": text}}, text, None)]})

    def closing(self, i: int, ask: Ask, stops: Sequence[str]) -> list[str]:
        """The log-probabilities come here, all at once: an engine that streams tells only the words."""
        text, reason = answer(ask, stops)
        return self._line({"choices": [self._choice(i, {"delta": {}}, "", reason) | self._logprobs(ask, text)]})

    def event(self, i: int, event: Json) -> list[str]:
        """The usage; such a chunk has no choices."""
        return self._line({"choices": [], "hswarm": {"index": i} | event})

    def end(self, asks: Sequence[Ask], with_usage: bool) -> list[str]:
        spent = self._line({"choices": [], "usage": usage(asks)}) if with_usage else []
        return [*spent, "data: [DONE]\n\n"]

    def fault(self, body: Json) -> list[str]:
        return [f"data: {json.dumps(body)}\n\n"]

    def _line(self, more: Json) -> list[str]:
        return [f"data: {json.dumps(self._chunk | more)}\n\n"]

    def _choice(self, i: int, chat: Json, text: str, reason: str | None) -> Json:
        common: Json = {"index": i, "finish_reason": reason, "logprobs": None}
        return common | (chat if self._chat else {"text": text})

    def _logprobs(self, ask: Ask, text: str) -> Json:
        if ask.output.logprobs is None:
            return {}
        tokens = tokens_of(ask, text)
        if self._chat:
            return {"logprobs": {"content": [*map(token_object, tokens)], "refusal": None}}
        lengths = [len(token.text) for token in tokens]
        return {
            "logprobs": {
                "tokens": [token.text for token in tokens],
                "token_logprobs": [token.logprob for token in tokens],
                "top_logprobs": [dict(token.likeliest) for token in tokens],
                "text_offset": [sum(lengths[:i]) for i in range(len(tokens))],
            }
        }


def traced(asks: Sequence[Ask], trace: bool) -> Json:
    """Our extension field, if requested: prompt and reply of each node of the first answer."""
    return {"hswarm": {"nodes": transcript(asks[0])}} if trace else {}


def usage(asks: Sequence[Ask]) -> Json:
    """Tokens of all nodes of all answers."""
    replies = [reply for ask in asks for reply in ask.replies.values()]
    prompt = sum(reply.prompt_tokens for reply in replies)
    completion = sum(reply.completion_tokens for reply in replies)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def transcript(ask: Ask) -> list[JsonValue]:
    """Prompt and reply of every node that has answered, in topological order."""
    return [said(ask, node) for node in ask.system.topology.order if node in ask.replies]


def said(ask: Ask, node: int) -> Json:
    """Prompt and reply of a node that has answered."""
    reply = ask.replies[node]
    return {
        "node": node,
        "expert": ask.system.nodes[node].name,
        "hears": [*ask.system.topology.predecessors(node)],
        "prompt": ask.prompt(node),
        "response": reply.text,
        "finish": reply.finish,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
    }


def answer(ask: Ask, stops: Sequence[str]) -> tuple[str, str]:
    """The text sent to the client, and why it ends there ("stop" or "length")."""
    text = cut(ask.answer.text, stops)
    return text, "length" if text == ask.answer.text and ask.answer.finish == "length" else "stop"


def tokens_of(ask: Ask, text: str) -> list[TokenLogprob]:
    """The tokens of the answer with their log-probabilities, up to the end of `text`, where a stop sequence cut it."""
    if text == ask.answer.text:
        return [*ask.answer.logprobs]
    kept, said = [], ""
    for token in ask.answer.logprobs:
        if len(said.lstrip()) >= len(text):
            break
        kept.append(token)
        said += token.text
    return kept


def token_object(token: TokenLogprob) -> Json:
    """A token as chats and responses have it."""
    likeliest: list[JsonValue] = [_logprob(text, logprob) for text, logprob in token.likeliest]
    return _logprob(token.text, token.logprob) | {"top_logprobs": likeliest}


def _logprob(text: str, logprob: float) -> Json:
    return {"token": text, "logprob": logprob, "bytes": [*text.encode()]}


def cut(text: str, stops: Sequence[str]) -> str:
    """`text` up to the first of `stops`."""
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def safe(text: str, stops: Sequence[str]) -> str:
    """The part of an unfinished `text` that no stop sequence can still remove."""
    shown = cut(text, stops)
    held = max((len(stop) - 1 for stop in stops), default=0) if shown == text else 0
    return shown[: len(shown) - held] if held else shown
