"""The objects of /v1/responses: a whole response, or the events that build it up."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence

from pydantic import JsonValue

from hswarm.server.ask import Ask
from hswarm.server.responses import Json, answer, token_object, tokens_of, traced, usage
from hswarm.server.schema import ResponseRequest


class ResponseObject:
    """The one response to `body`, in the shape that the endpoint has (https://platform.openai.com/docs/api-reference/responses)."""

    def __init__(self, body: ResponseRequest) -> None:
        self._message, self._count = f"msg_{uuid.uuid4().hex}", 0
        self._common: Json = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "model": body.model,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "temperature": body.temperature,
            "top_p": body.top_p,
            "metadata": {**(body.metadata or {})},
            "text": {"format": {"type": body.format[1]}},
            "top_logprobs": body.top_logprobs or 0,
            "tools": [],
            "tool_choice": "none",
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "truncation": "disabled",
            "store": False,
            "error": None,
            "incomplete_details": None,
        }

    def whole(self, asks: Sequence[Ask], stops: Sequence[str], trace: bool) -> Json:
        return self._response(asks[0], stops) | traced(asks, trace)

    def opening(self, i: int) -> list[str]:
        begun = self._common | {"status": "in_progress", "output": [], "usage": None}
        return [
            self._line("response.created", {"response": begun}),
            self._line("response.in_progress", {"response": begun}),
            self._line("response.output_item.added", {"output_index": 0, "item": self._item([], "in_progress")}),
            self._line("response.content_part.added", self._at({"part": _part("")})),
        ]

    def piece(self, i: int, text: str) -> list[str]:
        return [self._line("response.output_text.delta", self._at({"delta": text, "logprobs": []}))]

    def closing(self, i: int, ask: Ask, stops: Sequence[str]) -> list[str]:
        text, reason = answer(ask, stops)
        response = self._response(ask, stops)
        done = "completed" if reason == "stop" else "incomplete"
        part = _part(text, ask)
        return [
            self._line("response.output_text.done", self._at({"text": text, "logprobs": part["logprobs"]})),
            self._line("response.content_part.done", self._at({"part": part})),
            self._line("response.output_item.done", {"output_index": 0, "item": self._item([part], done)}),
            self._line(f"response.{done}", {"response": response}),
        ]

    def event(self, i: int, event: Json) -> list[str]:
        return [self._line("hswarm", {"hswarm": {"index": i} | event})]

    def end(self, asks: Sequence[Ask], with_usage: bool) -> list[str]:
        """Nothing: the last event held the usage."""
        return []

    def fault(self, body: Json) -> list[str]:
        error = body["error"]
        assert isinstance(error, dict)
        code = error["code"] or "server_error"
        return [self._line("error", {"message": error["message"], "code": code, "param": error["param"]})]

    def _response(self, ask: Ask, stops: Sequence[str]) -> Json:
        text, reason = answer(ask, stops)
        whole = reason == "stop"
        spent = usage([ask])
        found: Json = {
            "status": "completed" if whole else "incomplete",
            "incomplete_details": None if whole else {"reason": "max_output_tokens"},
            "output": [self._item([_part(text, ask)], "completed" if whole else "incomplete")],
            "usage": {
                "input_tokens": spent["prompt_tokens"],
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": spent["completion_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": spent["total_tokens"],
            },
        }
        return self._common | found

    def _item(self, parts: list[Json], status: str) -> Json:
        content: list[JsonValue] = [*parts]
        return {"id": self._message, "type": "message", "role": "assistant", "status": status, "content": content}

    def _at(self, more: Json) -> Json:
        return {"item_id": self._message, "output_index": 0, "content_index": 0, **more}

    def _line(self, kind: str, more: Json) -> str:
        self._count += 1
        return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': self._count - 1} | more)}\n\n"


def _part(text: str, ask: Ask | None = None) -> Json:
    """The text of an answer, with the log-probabilities of its tokens, if they were asked for."""
    tokens: list[JsonValue] = [*map(token_object, tokens_of(ask, text))] if ask else []
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": tokens}
