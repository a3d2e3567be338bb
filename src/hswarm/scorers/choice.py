"""Multiple choice, strict: the option that the response states last. A letter inside a word is no statement."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hswarm.scorers.base import Score
from hswarm.tasks.task import Example


def choice(examples: Sequence[Example], responses: Sequence[str]) -> list[Score]:
    """1 where the stated option is the answer, else 0."""
    scores = []
    for example, response in zip(examples, responses, strict=True):
        letter = stated_letter(response, example)
        scores.append(Score(float(letter == example.answer), letter is not None, letter or ""))
    return scores


def stated_letter(response: str, example: Example) -> str | None:
    """The option stated last: by "answer is X", else by a marked letter, else by one option's whole text."""
    by_lower = {letter.lower(): letter for letter in example.choices}
    letters = "|".join(map(re.escape, sorted(example.choices, key=len, reverse=True)))
    if not letters:
        return None
    # A bare "A" or "I" may be a word: it must end its statement or carry a mark.
    end = r"(?=\s*(?:$|[.,;:!)\]}*`\n]|[\"'](?!\w)|\b(?:because|since|as|is)\b))"
    patterns = [
        rf"\\boxed\s*\{{\s*(?:\\text\{{)?\s*\(?({letters})\)?\s*\}}",
        rf"(?i:\banswer|\boption|\bchoice)[*_\"'`]*(?i:\s+(?:is|would be|should be))?\s*[:=]?[\s\[(*_\"'`]*"
        rf"(?i:(?:option|choice)\s+)?({letters})\b{end}",
        rf"(?<![\w'])({letters})[)*\"'`]*\s+(?i:is\s+(?:the\s+)?(?:(?:correct|right|best)\b|answer\b))(?!\s+not\b)",
        rf"(?:^|[\s*])\(({letters})\)",
        rf"\*\*\s*({letters})\s*[.):]?\s*\*\*",
        rf"(?m:^)\s*({letters})\s*(?:[.):]|$)",
    ]
    stated = [(match.start(1), match[1]) for pattern in patterns[:3] for match in re.finditer(pattern, response)]
    if not stated:
        stated = [
            (match.start(1), match[1])
            for pattern in patterns[3:]
            for match in re.finditer(pattern, response, re.MULTILINE)
        ]
    if stated:
        return by_lower[max(stated)[1].lower()]
    bare = response.strip().strip(".()[]*\"'").lower()
    if bare in by_lower:
        return by_lower[bare]
    named = [letter for letter, text in example.choices.items() if _occurs(text, response)]
    return named[0] if len(named) == 1 else None


def _occurs(text: str, response: str) -> bool:
    words = text.strip().lower()
    return bool(words) and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", response.lower()) is not None
