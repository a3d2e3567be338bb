"""What a node reads: the question, then what its predecessors said. Said once, settable as `[prompts]`.

`layout = "question-first"` puts instruction and question before the previous responses, so that all nodes of all
systems share a prefix; `"paper"` puts the responses before the question, as arXiv 2502.04510 does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from hswarm.tasks.task import Example, Task

_TAGS = r"(?:think|thinking|thought|reasoning|scratchpad|reflection)"
_CLOSED = re.compile(rf"<{_TAGS}>.*?</{_TAGS}>", re.DOTALL | re.IGNORECASE)
_BEFORE = re.compile(rf"\A.*</{_TAGS}>", re.DOTALL | re.IGNORECASE)  # some templates open the tag in the prompt
_UNCLOSED = re.compile(rf"<{_TAGS}>.*\Z", re.DOTALL | re.IGNORECASE)
_NEXT = re.compile(r"(?<=\S)\s*\n\s*(?:Question|Q|Problem|Human|User):.*\Z", re.DOTALL)
GENERAL = "Answer the question. Give only the answer."


@dataclass(frozen=True)
class Prompts:
    """The texts around a question and around previous responses.

    `instruction` "" is that of the question's task; a question that has none gets `general`, and the worked examples
    `icl` before everything else if it has none of those either. `thinking` is for bases whose chat template can switch
    reasoning before the answer on and off: off unless it is set.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    instruction: str = ""
    general: str = GENERAL
    icl: str = ""
    previous: str = "Answers given by others, some may be wrong:"
    last: str = "Your answer:"
    layout: Literal["question-first", "paper"] = "question-first"
    thinking: bool = False

    def fitted(self, task: Task) -> Prompts:
        """With the task's instruction and worked examples as the general ones, for questions put to a system later."""
        general = task.instruction if task.instruction and self.general == GENERAL else self.general
        worked = {example.icl for example in task.dev}
        return replace(self, general=general, icl=self.icl or (worked.pop() if len(worked) == 1 else ""))

    def render(self, example: Example, responses: Sequence[str] = (), *, chunk: str = "") -> str:
        """The prompt of one node: `responses` of its predecessors in node order, `chunk` its share of the context."""
        worked = example.icl or ("" if example.instruction else self.icl)
        parts = [worked] if worked else []
        instruction = self.instruction or example.instruction or self.general
        question = _question(example, chunk)
        if not responses:
            return "\n\n".join([*parts, instruction, question])
        listed = "\n".join([self.previous, *(f"- {spoken(response)}" for response in responses)])
        if self.layout == "paper":
            return "\n\n".join([*parts, listed, instruction, question])
        return "\n\n".join([*parts, instruction, question, listed, self.last])


def without_reasoning(response: str) -> str:
    """`response` without what stands in <think> and kindred tags; a tag that is never closed takes all after it."""
    return _UNCLOSED.sub("", _BEFORE.sub("", _CLOSED.sub("", response)))


def spoken(response: str) -> str:
    """What `response` says to others: no reasoning, and nothing after it goes on to invent the next question."""
    kept = without_reasoning(response)
    cut = _NEXT.sub("", kept)
    return response if cut == response else cut.strip()


def _question(example: Example, chunk: str) -> str:
    lines = [f"Context: {chunk}"] if chunk else []
    lines.append(f"Question: {example.question.removeprefix('Question: ')}")  # some files say it themselves
    lines += [f"{letter}: {text}" for letter, text in example.choices.items()]
    return "\n".join(lines)
