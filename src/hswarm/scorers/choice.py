"""Multiple choice, strict: the option that the response states last. A letter inside a word is no statement."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from hswarm.scorers.base import Score, scorer
from hswarm.scorers.equality import same
from hswarm.scorers.normal import boxed, plain, untagged
from hswarm.scorers.quantity import quantity
from hswarm.tasks.task import Example

_OPEN = r"[\s\[({<*_\"'`$]*"
_CLOSE = r"[\])}>*_\"'`$]*"
_MARK = re.compile(
    r"(?:\banswers?|\bans)\b[\"'*_`)>]*\s*(?:(?:choice|option|letter)\b[\"'*_`]*\s*)?(?:is|would be|should be|must be)?"
    r"\s*[:=>-]*\s*(?!\s*(?:not|n't|neither)\b)|"
    r"\b(?:selected|selection|choose|pick)\s*:\s*|"
    r"\b(?:i|we)(?:'d|'ll| will| would)?\s+(?:choose|pick|select|take|go (?:with|for)|going with)\b:?\s*|=>\s*|####\s*",
    re.IGNORECASE,
)
_KIND = r"(?i:(?:the\s+)?(?:option|choice|letter|answer)\b\s*:?\s*)?"
_DENIED = (
    r"(?!\W*\s(?i:(?:is|was|are)(?:\s+not\b|n't|\s+(?:clearly\s+|also\s+)?(?:wrong|incorrect|false|out))|cannot|can't))"
)
_JOINED = r"\s*(?:,\s*(?:and|or)?|/|&|\band\b|\bor\b)\s*"


@scorer("choice", "Multiple choice: the option that the response states last", states="The answer is {}.")
def choice(examples: Sequence[Example], responses: Sequence[str]) -> list[Score]:
    """1 where the stated option is the answer, else 0."""
    scores = []
    for example, response in zip(examples, responses, strict=True):
        letter = stated_letter(response, example)
        scores.append(Score(float(letter == example.answer), letter is not None, letter or ""))
    return scores


def stated_letter(response: str, example: Example) -> str | None:
    r"""The option stated last: in \boxed{}, by "answer is X" or "X is correct", by a marked letter, or by its text.

    None where nothing is stated, or several options are ("B or C").
    """
    if not example.choices:
        return None
    patterns = _patterns(tuple(example.choices))
    by_lower = {letter.lower(): letter for letter in example.choices}
    held = boxed(response)
    if held is not None:
        response = plain(held)
        if whole := patterns.whole.fullmatch(response.strip()):
            return by_lower[whole[1].lower()]
    response = _without_echo(untagged(response), example.choices)
    for tier in (patterns.stated, patterns.named, patterns.weak):
        found = [match for pattern in tier for match in pattern.finditer(response)]
        if found:
            last = max(found, key=lambda match: match.start("letter"))
            several = patterns.after.match(response, last.end("letter")) or patterns.before.search(
                response[: last.start("letter")]
            )
            return None if several else by_lower[last["letter"].lower()]
    if whole := patterns.whole.fullmatch(response.strip()):
        return by_lower[whole[1].lower()]
    return _by_text(response, example.choices)


class _Patterns(NamedTuple):
    """What states a letter, from the plainest on; `before` and `after` a letter find another one beside it."""

    stated: tuple[re.Pattern[str], ...]
    named: tuple[re.Pattern[str], ...]
    weak: tuple[re.Pattern[str], ...]
    whole: re.Pattern[str]
    before: re.Pattern[str]
    after: re.Pattern[str]


@lru_cache(maxsize=64)
def _patterns(names: tuple[str, ...]) -> _Patterns:
    letters = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    either = rf"(?P<letter>(?i:{letters}))(?!\w)"  # after a mark a small letter is one too
    exact = rf"(?P<letter>{letters})(?!\w)"
    # A bare "A" or "I" may be a word: it must end its statement or carry a mark.
    end = r"(?=\s*(?:$|[.,;:!?)\]}>*`$\n(]|[\"'](?!\w)|-\s|[\u2013\u2014/&]|\\|(?i:because|since|as|is|and|or)\b))"
    adverbs = r"(?:(?:the|clearly|obviously|definitely)\s+)*"
    right = rf"(?i:(?:is|are|seems|must be)\s+{adverbs}(?:(?:correct|right|best|true)\b|answer\b))"
    stated = rf"(?:{_MARK.pattern}){_OPEN}(?:\\text\s*\{{)?{_KIND}{_OPEN}{either}{end}{_DENIED}"
    around = r"[\s.,;:!?()\[\]{}<>*_\"'`$]*"
    return _Patterns(
        (
            re.compile(stated, re.IGNORECASE),
            re.compile(rf"(?<![\w'])[(\[]?{exact}{_CLOSE}\s+{right}(?!\s+not\b)"),
            re.compile(rf"[\"'](?i:answer|choice|option|letter)[\"']\s*:\s*[\"']?{either}"),
        ),
        (
            re.compile(rf"(?i:\boption|\bchoice)\b[*_\"'`]*\s*(?i:is)?\s*[:=]?{_OPEN}{exact}{end}{_DENIED}"),
            re.compile(rf"(?i:\bit(?:'s| is| must be| should be))\s+{_KIND}{_OPEN}{exact}{end}{_DENIED}"),
        ),
        (
            re.compile(rf"(?:^|[\s*])[(\[]{exact}[)\]]{_DENIED}"),
            re.compile(rf"\*\*\s*{exact}\s*[.):]?\s*\*\*{_DENIED}"),
            re.compile(rf"(?m:^)\s*{exact}\s*(?:[.):]|$){_DENIED}", re.MULTILINE),
        ),
        re.compile(rf"{around}(?:(?:option|choice)\s+)?[(\[]?({letters}){around}", re.IGNORECASE),
        re.compile(rf"(?<![\w'])(?:{letters}){_CLOSE}{_JOINED}{_OPEN}$"),
        re.compile(rf"{_CLOSE}{_JOINED}{_OPEN}(?:{letters})(?![\w'])"),
    )


def _without_echo(response: str, choices: Mapping[str, str]) -> str:
    """Without lines that only list the options, letter and text, where at least two are listed."""
    listed = {
        line
        for line in response.split("\n")
        for letter, text in choices.items()
        if re.fullmatch(rf"\W*{re.escape(letter)}\W+{re.escape(text.strip())}\W*", line, re.IGNORECASE)
    }
    if len(listed) < 2:
        return response
    return "\n".join(line for line in response.split("\n") if line not in listed)


def _by_text(response: str, choices: Mapping[str, str]) -> str | None:
    """The only option whose text is stated: after the last mark, else anywhere."""
    marks = list(_MARK.finditer(response))
    for text in filter(None, (response[marks[-1].end() :].strip() if marks else "", response)):
        line = text.split("\n")[0].strip().rstrip(".")
        equal = [letter for letter, option in choices.items() if option.strip() and same(line, option)]
        if quantity(line) is not None and not equal:
            continue
        named = equal or _named(text, choices)
        if len(named) == 1:
            return named[0]
    return None


def _named(text: str, choices: Mapping[str, str]) -> list[str]:
    """Options whose text occurs as words of its own, not merely inside the text of a longer option."""
    found, left = [], text.lower()
    for letter, option in sorted(choices.items(), key=lambda item: -len(item[1])):
        words = option.strip().lower()
        pattern = re.compile(rf"(?<![\w.])(?<!\d[,:/-]){re.escape(words)}(?!\w|[.,:/-]\d|\s*%)")
        if words and pattern.search(left):
            found.append(letter)
            left = pattern.sub(" | ", left)
    return found
