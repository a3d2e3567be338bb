"""What a node reads: the question, and what its predecessors responded. Settable as `[prompts]`.

A node's instruction depends on its place (arXiv 2502.04510, Table 9): without predecessors, in the middle, the
sink. The wording is ours. `layout = "question-first"` puts instruction and question before the previous responses, so
that all nodes of all systems share a prefix; `"paper"` puts the responses before the question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hswarm.options import SETTINGS
from hswarm.tasks.task import Example, Task, with_choices

_TAGS = r"(?:think|thinking|thought|reasoning|scratchpad|reflection)"
_OPEN, _CLOSE = rf"(?:<{_TAGS}>|\[THINK\]|◁think▷)", rf"(?:</{_TAGS}>|\[/THINK\]|◁/think▷)"
_FINAL = r"(?:<\|channel\|>final<\|message\|>|assistantfinal)"  # harmony, with its control tokens and without
_CLOSED = re.compile(rf"{_OPEN}.*?{_CLOSE}", re.DOTALL | re.IGNORECASE)
_BEFORE = re.compile(rf"\A.*(?:{_CLOSE}|{_FINAL})", re.DOTALL | re.IGNORECASE)  # some templates open it in the prompt
_UNCLOSED = re.compile(rf"{_OPEN}.*\Z", re.DOTALL | re.IGNORECASE)
_NEXT = re.compile(r"(?<=\S)\s*\n[\s#*]*(?:Question|Q|Problem|Exercise|Human|User)\s*#?\d*\**\s*:\**[ \t]*([^\n]*)")
_OPENING = re.compile(
    r"\W*(?:sure|okay|ok|well|hmm|certainly|of course|let(?:'s| us| me)|here|first|to (?:answer|solve)|(?:i|we)\b|"
    r"restat|re-?read|the (?:question|problem)\b)[^\n]*\Z",
    re.IGNORECASE,
)
_STATES = re.compile(r"answer\W*(?:is|:|=)|####|\\boxed", re.IGNORECASE)
GENERAL = "Answer the question. Give only the answer."

Place = Literal["alone", "first", "middle", "sink"]

_ANSWER = "Answer the question."
_OTHERS = "Other models have already responded; their responses are listed."
_TEXTS: dict[str, dict[str, str]] = {
    "terse": {"first": "", "middle": "", "sink": ""},
    "place": {
        "first": _ANSWER,
        "middle": f"{_ANSWER} {_OTHERS} Use what helps you and leave aside what is wrong or of no use.",
        "sink": f"{_ANSWER} {_OTHERS} Use what helps you and leave aside what is wrong or of no use. "
        "Yours is the last response: end it with one definite answer.",
    },
    "divide": {
        "first": "The question will be solved in several steps, and you take the first. Solve one part of it and leave "
        "the rest to those after you.",
        "middle": f"The question is being solved in several steps. {_OTHERS} Go on from them with the next part, put "
        "right what is wrong, and leave the rest to those after you.",
        "sink": f"The question was solved in several steps. {_OTHERS} Do what is still missing, put right what is "
        "wrong, and give one definite answer.",
    },
}


@dataclass(frozen=True)
class Prompts:
    """`[prompts]`: the texts around a question and around previous responses.

    An expert alone is told to answer, whatever the style.
    """

    __pydantic_config__ = SETTINGS

    instruction: str = ""
    """The instruction of every question; "": that of the task."""
    general: str = GENERAL
    """The instruction of a question whose task has none, under the style "terse"."""
    icl: str = ""
    """Worked examples before a question that has neither an instruction nor worked examples of its own."""
    previous: str = "Answers given by others, some may be wrong:"
    """The line above previous responses."""
    last: str = "Your answer:"
    """The line after them."""
    layout: Literal["question-first", "paper"] = "question-first"
    """Whether the question or the previous responses come first."""
    thinking: bool = False
    """Let a base reason before it answers, where its chat template can switch that."""
    style: Literal["terse", "place", "divide"] = "terse"
    """What nodes are told. "terse": all the same, and responses are listed without numbers. "place": an instruction by
    place, as in the paper. "divide": all nodes but the sink solve a part and leave the rest."""
    first: str = ""
    """The instruction of nodes without predecessors; "": the style's."""
    middle: str = ""
    """The instruction of nodes in the middle; "": the style's."""
    sink: str = ""
    """The instruction of the node that answers; "": the style's."""

    def text(self, place: Place) -> str:
        """The instruction of a place; "" if it has none of its own."""
        if place == "alone":
            return _ANSWER if self.style == "divide" else self.text("first")
        own = {"first": self.first, "middle": self.middle, "sink": self.sink}
        return own[place] or _TEXTS[self.style][place]

    @property
    def by_place(self) -> bool:
        """Whether a node reads something else as the sink than it would in the middle, or alone than as a first node.

        False: the replies of a sub-system are those of the same nodes in the whole.
        """
        return self.text("middle") != self.text("sink") or self.text("first") != self.text("alone")

    def fitted(self, task: Task) -> Prompts:
        """With the task's instruction and worked examples as the general ones, for questions put to a system later."""
        general = task.instruction if task.instruction and self.general == GENERAL else self.general
        worked = {example.icl for example in task.dev}
        return replace(self, general=general, icl=self.icl or (worked.pop() if len(worked) == 1 else ""))

    def render(
        self, example: Example, responses: Sequence[str] = (), place: Place | None = None, *, chunk: str = ""
    ) -> str:
        """The prompt of one node: `responses` of its predecessors in node order, `chunk` its share of the context.

        `place` None: a sink if there are responses, else an expert alone.
        """
        text = self.text(place or ("sink" if responses else "alone"))
        worked = example.icl or ("" if example.instruction else self.icl)
        parts = [worked] if worked else []
        instruction = (
            self.instruction or example.instruction or ("" if text and self.general == GENERAL else self.general)
        )
        asked = [" ".join(filter(None, (text, instruction))), _question(example, chunk)]
        if not responses:
            return "\n\n".join([*parts, *asked])
        said = [spoken(response, example.question) for response in responses]
        listed = "\n".join([self.previous, *self._listed(said)])
        if self.layout == "paper":
            return "\n\n".join([*parts, listed, *asked])
        return "\n\n".join([*parts, *asked, listed, self.last])

    def _listed(self, responses: Sequence[str]) -> list[str]:
        if self.style == "terse":
            return [f"- {response}" for response in responses]
        return [f"Response {number}: {response}" for number, response in enumerate(responses, 1)]


def without_reasoning(response: str) -> str:
    """`response` without what stands in <think> and similar tags, or before harmony's final channel.

    A tag that is never closed takes all after it.
    """
    return _UNCLOSED.sub("", _BEFORE.sub("", _CLOSED.sub("", response)))


def spoken(response: str, question: str = "") -> str:
    """What `response` says to others: no reasoning, and nothing after it has answered and invents the next question.

    A line that restates `question`, or that follows a mere opening ("Let me see."), begins no next question.
    """
    kept = without_reasoning(response)
    for found in _NEXT.finditer(kept):
        before = kept[: found.start()]
        if before.count("```") % 2 or _restates(found[1], question) or _opens(before):
            continue
        kept = before
        break
    return response if kept == response else kept.strip()


def _restates(line: str, question: str) -> bool:
    """Whether one of the two holds the other, in any case and spacing."""
    line, question = (" ".join(text.casefold().split()) for text in (line, question))
    return min(len(line), len(question)) > 8 and (line in question or question in line)


def _opens(text: str) -> bool:
    return not _STATES.search(text) and _OPENING.match(text.strip().rpartition("\n")[2]) is not None


def _question(example: Example, chunk: str) -> str:
    question = f"Question: {example.question.removeprefix('Question: ')}"  # some files say it themselves
    return (f"Context: {chunk}\n" if chunk else "") + with_choices(question, example.choices)
