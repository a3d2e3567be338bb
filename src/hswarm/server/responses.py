"""The objects that clients get: completions, chunks, usage, and what the nodes said."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from hswarm.server.batcher import Ask


class Shape:
    """Objects of one reply, in the shape of one endpoint ("chat.completion" or "text_completion")."""

    def __init__(self, chat: bool, model: str) -> None:
        self._chat = chat
        prefix, kind = ("chatcmpl", "chat.completion") if chat else ("cmpl", "text_completion")
        self._whole = {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": model,
        }
        self._chunk = self._whole | ({"object": "chat.completion.chunk"} if chat else {})

    def whole(self, asks: Sequence[Ask], stops: Sequence[str], trace: bool) -> dict[str, Any]:
        """The reply to a request that is not streamed."""
        choices = [
            self._choice(i, {"message": {"role": "assistant", "content": text, "refusal": None}}, text, reason)
            for i, (text, reason) in enumerate(answer(ask, stops) for ask in asks)
        ]
        extra = {"hswarm": {"nodes": transcript(asks[0])}} if trace else {}
        return self._whole | {"choices": choices, "usage": usage(asks)} | extra

    def opening(self, i: int) -> dict[str, Any]:
        """The first chunk of an answer."""
        return self._chunk | {"choices": [self._choice(i, {"delta": {"role": "assistant", "content": ""}}, "", None)]}

    def piece(self, i: int, text: str) -> dict[str, Any]:
        """A chunk with more of an answer."""
        return self._chunk | {"choices": [self._choice(i, {"delta": {"content": text}}, text, None)]}

    def closing(self, i: int, reason: str) -> dict[str, Any]:
        """The last chunk of an answer."""
        return self._chunk | {"choices": [self._choice(i, {"delta": {}}, "", reason)]}

    def usage(self, asks: Sequence[Ask]) -> dict[str, Any]:
        """The chunk that ends a stream if usage was asked for."""
        return self._chunk | {"choices": [], "usage": usage(asks)}

    def event(self, i: int, event: dict[str, Any]) -> dict[str, Any]:
        """Our own chunk: what happens at a node. It has no choices, so other clients pass over it."""
        return self._chunk | {"choices": [], "hswarm": {"index": i} | event}

    def _choice(self, i: int, chat: dict[str, Any], text: str, reason: str | None) -> dict[str, Any]:
        return {"index": i, "finish_reason": reason, "logprobs": None} | (chat if self._chat else {"text": text})


def usage(asks: Sequence[Ask]) -> dict[str, int]:
    """Tokens of all nodes of all answers."""
    replies = [reply for ask in asks for reply in ask.replies.values()]
    prompt = sum(reply.prompt_tokens for reply in replies)
    completion = sum(reply.completion_tokens for reply in replies)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def transcript(ask: Ask) -> list[dict[str, Any]]:
    """What every node that has answered read and said, in the order of the topology."""
    return [said(ask, node) for node in ask.system.topology.order if node in ask.replies]


def said(ask: Ask, node: int) -> dict[str, Any]:
    """What a node that has answered read and said."""
    reply = ask.replies[node]
    return {
        "node": node,
        "expert": ask.system.experts[node].name,
        "hears": list(ask.system.topology.predecessors(node)),
        "prompt": "" if reply.finish == "passed" else ask.request(node).prompt,
        "response": reply.text,
        "finish": reply.finish,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
    }


def answer(ask: Ask, stops: Sequence[str]) -> tuple[str, str]:
    """The text that the client gets, and why it ends there ("stop" or "length")."""
    text = cut(ask.answer.text, stops)
    return text, "length" if text == ask.answer.text and ask.answer.finish == "length" else "stop"


def cut(text: str, stops: Sequence[str]) -> str:
    """`text` up to the first of `stops`."""
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def safe(text: str, stops: Sequence[str]) -> str:
    """As much of an unfinished `text` as no stop can take back."""
    shown = cut(text, stops)
    held = max((len(stop) - 1 for stop in stops), default=0) if shown == text else 0
    return shown[: len(shown) - held] if held else shown
