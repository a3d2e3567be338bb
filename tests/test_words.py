"""Phrases that read as translated must not come back in source and docs."""

import re
from pathlib import Path

import pytest

INSTEAD = {
    r"to be had": "available, downloaded, found",
    r"cannot be had": "is not available, cannot be loaded",
    r"\b(tells?|declares) besides\b": "adds, in addition",
    r"is had by": "comes from",
    r"\banew\b": "again; restarted, repeated, rewritten",
    r"what came\b": "what was found instead; the actual cost",
    r"moving house": "moving to hswarm",
    r"who speaks to whom": "the topology, the edges",
    r"speaks? to (one|two|several|another|nobody|others)": "has an edge to, has a successor",
    r"\b(it|nobody|node|that `node`) hears\b|hears nobody": "predecessors; reads the reply of",
    r"does not reach for all": "is too small for all",
    r"as well as can be": "as well as possible",
    r"as cheap as can be": "cheapest",
    r"for ever\b": "permanently, never reused",
    r"to hand on\b|handed on\b": "to pass on, exported",
    r"left the finite numbers; shorten": "are no longer finite; reduce",
    r"is not to be had": "is unavailable",
    r"can be had\b": "is available, where to get it",
    r"\bever after\b": "always",
    r"are there twice": "occur twice",
    r"asks? nobody": "asks no follow-up questions",
    r"found by themselves": "recognised automatically",
    r"unless told\b": "by default",
    r"best (alone )?at home": "best on the run's own task",
    r"c[oa]me to (its|their) end": "finished",
    r"whose word\b": "whose reply",
    r"hears? of (it|them)\b": "its descendants",
    r"at the expense of": "from the budget of",
    r"makes? of what": "does with the replies",
    r"who (would )?speaks?\b": "its predecessors",
}


def faults(text: str) -> list[tuple[int, str, str]]:
    """(line, phrase, what to write instead), also of phrases that a line break divides."""
    return [
        (text.count("\n", 0, found.start()) + 1, " ".join(found.group().split()), instead)
        for phrase, instead in INSTEAD.items()
        for found in re.finditer(phrase.replace(" ", r"\s+"), text, re.IGNORECASE)
    ]


def files(root: Path) -> list[Path]:
    """Everything that a person reads: source with its pages and templates, docs, examples, the files of the root."""
    read = (".py", ".md", ".html", ".js", ".toml", ".ipynb")
    folders = [root / name for name in ("src/hswarm", "docs", "examples", "recipes")]
    found = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in read]
    return [*found, *sorted(root.glob("*.md"))]


def test_phrases_stay_away(root: Path) -> None:
    found = [
        f"{file.relative_to(root)}, line {line}: '{phrase}'; write instead: {instead}"
        for file in files(root)
        for line, phrase, instead in faults(file.read_text())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ["a base that is not to be had", "line\nmade\nanew", "a node hears\nnobody"])
def test_a_phrase_is_found(text: str) -> None:
    assert faults(text)


def test_a_fault_says_where_and_what_to_write() -> None:
    assert faults("first\nmoving\nhouse") == [(2, "moving house", "moving to hswarm")]
