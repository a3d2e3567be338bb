"""The first lines of a report: each kind of outcome is told as what it is."""

from typing import Any

import pytest

from hswarm.analysis.result import AnalysisResult
from hswarm.report.overview import overview
from tests.runs.reports import report, score


def test_a_gain() -> None:
    told = overview(report())
    assert list(told) == [
        "What was searched",
        "What was found",
        "What it gains",
        "What it costs",
        "Whether to trust it",
    ]
    assert "2 language models" in told["What was searched"]
    assert "3 nodes, with 2 different experts, that reply in 2 rounds. a gives the answer" in told["What was found"]
    assert "what a and b replied" in told["What was found"]
    assert "+0.200 (95 % interval +0.100 to +0.300)" in told["What it gains"]
    assert "where the search began, scores 0.500: +0.100" in told["What it gains"]
    assert "No answer could be read in 0 of the best single expert's 200 replies." in told["What it gains"]
    assert "3 nodes, about 120 tokens" in told["What it costs"]
    assert told["Whether to trust it"].startswith("Yes, for questions like these")
    none = overview(report(test_faults={"best_single": {"unparsed": 0}, "found": {"unparsed": 0}}))
    assert "An answer could be read in each of the 200 replies of either." in none["What it gains"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"gain_on_test": {"difference": 0.02, "ci": [-0.1, 0.1], "p_value": 0.5}}, "includes zero"),
        (
            {"gain_on_test": {"difference": -0.2, "ci": [-0.3, -0.1], "p_value": 0.5}},
            "worse than its best expert alone",
        ),
        ({"test": score(0.6, 30)}, "30 test questions are few"),
        ({"test_faults": {"best_single": {"unparsed": 50}}}, "50 of the best single expert's 200 replies"),
        ({"overlap": 4}, "4 test questions were searched on too"),
        ({"test": None}, "never checked"),
        ({"gain_on_test": None}, "not compared with the best single expert"),
    ],
)
def test_doubts_are_named(more: dict[str, Any], words: str) -> None:
    assert words in overview(report(**more))["Whether to trust it"]


def test_what_is_not_known_is_left_out() -> None:
    told = overview(report(test=None, topology={"size": 1, "edges": [], "assignment": ["a"]}))
    assert "What it gains" not in told
    assert told["What was found"] == "A single expert, a, is best asked alone."
    assert "one" in told["What it costs"]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"harmful": ["x", "y"]}, "x and y: the answer gets worse"),
        ({"harmful": []}, ""),
        ({"harmful": 3}, ""),
        ({}, ""),
    ],
)
def test_harmful_experts_are_named(numbers: dict[str, Any], words: str) -> None:
    told = overview(report(), harm=AnalysisResult("harm", "Whose reply harms", (), numbers=numbers))
    assert told.get("Whom to keep out", "").startswith(words)
    assert ("Whom to keep out" in told) == bool(words)
