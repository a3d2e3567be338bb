"""A word on each term of a report, where a section uses it first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

TERMS = {
    "expert": "a language model, or a base model with an adapter, that a system may ask",
    "node": "a place in a system; an expert stands at it, reads the question and the replies that come to it, and "
    "replies",
    "graph": "which node reads which; also called topology",
    "dev": "the questions that the search may look at and is scored on",
    "test": "questions that the search never saw, used once, at the end",
    "interval": "if the questions were drawn again and again, about 95 of 100 such intervals would hold the true value "
    "(bootstrap)",
    "best single": "the expert that scores best when asked alone",
    "start": "the best system before the search moved anything",
    "p": "how often chance alone would give so large a difference if there were none",
    "utility": "what the search makes as large as it can: the mean score on dev",
    "iteration": "one round of the search: it tries systems, then moves towards those that did well",
    "role": "which expert stands at which node, and which node reads which",
    "weights": "the numbers inside an adapter",
    "adapter": "small additional weights that make a base model an expert (LoRA, for one)",
    "base": "the model that the adapters belong to",
    "assignment": "which expert stands at which node",
    "JFK-score": "how well the systems do that an expert takes part in: the mean of their utilities, each counted as "
    "often as the expert stands in it",
    "Banzhaf": "what an expert adds, averaged over the systems with and without it",
    "Holm": "a correction for comparing many methods at once",
    "budget": "how much the search may ask",
    "call": "one reply of one expert",
    "reused": "replies that were asked for again and taken from the run's own cache",
    "token": "a piece of text as models count it, often part of a word",
    "seed": "the number that all chance of the search comes from: the same one gives the same run",
    "adjacency matrix": "a number for each pair of nodes, from which the graph is read",
    "Shapley value": "what each part adds to the score, averaged over the orders in which the parts could be added",
}
_ALSO = {
    "role": "roles?|role-step",
    "weights": "weights?|weight-step",
    "interval": "intervals?",
    "adjacency matrix": "adjacency matri(?:x|ces)",
    "graph": "graphs?|topolog(?:y|ies)",
    "budget": "budgets?",
    "p": r"p(?= (?:&lt;|<|=) )",
    "utility": "utilit(?:y|ies)",
    "Holm": "Holm(?:'s|&#39;s)?",
    "call": "calls?",
}
_PATTERNS = {term: re.compile(rf"(?<![\w-])(?:{_ALSO.get(term, f'{re.escape(term)}s?')})(?![\w-])") for term in TERMS}
_TEXT_OF_OTHERS = re.compile(r"<(pre|svg|details|title)\b.*?</\1>|^(`{3,}).*?^\2$", re.S | re.M)


class Glossary:
    """Tells the meaning of each term once: `first_uses` gives those that a section is the first to use."""

    def __init__(self) -> None:
        self._left = dict(TERMS)

    def first_uses(self, section: str) -> list[tuple[str, str]]:
        """(term, meaning) of what `section`, HTML or Markdown, uses first; what stands in blocks of code, drawings and
        folded parts does not count."""
        return list(self._taken(unescape(re.sub(r"<[^>]+>", " ", _TEXT_OF_OTHERS.sub(" ", section)))))

    def _taken(self, text: str) -> Iterator[tuple[str, str]]:
        found = {term: match.start() for term in self._left if (match := _PATTERNS[term].search(text))}
        for term in sorted(found, key=lambda term: found[term]):
            yield term, self._left.pop(term)
