"""Answers of every kind that people write: the table of docs/tasks.md, broadly, with near misses."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hswarm.engines.base import Completion
from hswarm.scorers import get_scorer, symbolic
from hswarm.scorers.ballots import ballots
from hswarm.scorers.equality import same
from hswarm.system.vote import majority
from hswarm.tasks.task import Example

SAME = {
    "integers": [("5", "5."), ("5", "+5"), ("5", "05"), ("5", "**5**"), ("5", "`5`"), ("5", "$5$"), ("-3", "\u22123"), ("5", "\uff15"), ("1200", "1,200"), ("1,234,567", "1\u202f234\u202f567"), ("5", "5\u200b")],
    "fractions": [("1/2", "0.5"), ("1/2", "2/4"), ("0.5", ".5"), ("1/2", "\u00bd"), (r"\dfrac{3}{4}", "0.75"), ("1 1/2", "1.5"), ("3.0", "3"), ("-1/2", r"-\frac{1}{2}")],
    "scientific": [("1500", "1.5e3"), ("1500", r"1.5 \times 10^{3}"), ("1500", "1.5 \u00d7 10\u00b3"), ("0.002", "2 x 10^-3"), ("0.002", "2\u00b710\u207b\u00b3"), ("1000", "10^3"), ("1500", "1.5*10**3"), ("6.02e23", r"6.02\cdot10^{23}")],
    "percents": [("50%", "50"), ("50%", "50 percent"), ("50%", r"50\%"), ("50", "50%"), ("12.5%", "12.5 per cent")],
    "units": [("30 minutes", "30"), ("30 minutes", "30 min"), ("30", "30 minutes"), ("5 km", "5km"), ("5 km", "5 kilometers"), ("5 m/s", "5 meters per second"), ("25 cm^2", "25 cm\u00b2"), ("25 cm^2", "25 square centimeters"), ("60 mph", "60 miles per hour"), (r"5\,\text{cm}", "5 cm"), ("3 boxes", "3 box"), ("2 cities", "2 city"), ("5 m", "5m"), ("3rd", "3")],
    "scales": [("5 million", "5,000,000"), ("5000000", "5 million"), ("$2.5 million", "2,500,000"), ("5000", "5k"), ("24", "2 dozen")],
    "currencies": [("$5", "5 dollars"), ("$5", "USD 5"), ("\u20ac5", "5 euros"), ("\u20ac5", "5 EUR"), ("\u00a35", "5 pounds"), ("-$5", "$-5"), ("5", "$5.00"), (r"\$1,200", "1200"), ("\u20b95", "5 rupees")],
    "degrees": [("90\u00b0", "90"), ("90\u00b0", r"90^{\circ}"), ("90 degrees", "90\u00b0"), ("20\u00b0C", "20 celsius"), ("20\u00b0C", "20 \u00b0C")],
    "times": [("10:05", "10:05 am"), ("13:30", "1:30 PM"), ("3 pm", "3:00 p.m."), ("1:30 PM", "1:30"), ("10:05:00", "10:05")],
    "dates": [("2020-01-05", "5 January 2020"), ("January 5, 2020", "2020-01-05"), ("Jan. 5th, 2020", "5 Jan 2020"), ("the 5th of January 2020", "January 5 2020")],
    "lists": [("1, 2, 3", "[1,2,3]"), ("1, 2, 3", "1, 2 and 3"), ("1; 2", "1, 2"), ("red, blue", "Red and blue"), ("1/2, 3", "0.5, 3")],
    "sets": [(r"\{1, 2\}", "{2, 1}"), ("{1,2,3}", r"\{3, 2, 1\}"), ("{1, 2}", "2 and 1")],
    "intervals": [("(0, 1]", "(0,1]"), ("[0, 1)", r"\left[0, 1\right)"), ("(0.5, 1)", "(1/2, 1)")],
    "words": [("the Eiffel Tower", "eiffel tower."), ("caf\u00e9", "cafe\u0301"), ("it's", "it\u2019s"), (r"\text{Paris}", "Paris"), ("x", "x"), ("New York", "new  york"), ("A", "A"), ("the", "the")],
    "names": [("x = 5", "5"), ("5", "x = 5"), ("x=5", "x = 5.0")],
}  # fmt: skip
OTHER = {
    "integers": [("5", "-5"), ("5", "15"), ("5", "5 and 6"), ("123", "1, 2, 3"), ("12", "1 2"), ("5", "five")],
    "fractions": [("1/2", "2/1"), ("1 1/2", "11/2"), ("1/3", "0.33"), ("1/0", "0")],
    "scientific": [("1500", "1.5e4"), ("0.002", "2e3"), ("4", "4e5"), ("103", "10^3")],
    "percents": [("50%", "0.5"), ("0.5", "50%"), ("50%", "5%")],
    "units": [("30 minutes", "30 hours"), ("5 km", "5 m"), ("1 km", "1000 m"), ("25 cm^2", "25 cm"), ("25 cm^2", "25 cm^3"), ("5 m/s", "5 m"), ("5 m/s", "5 km/h")],
    "scales": [("5", "5 million"), ("5 million", "5"), ("5 million", "5 billion"), ("5", "5k")],
    "currencies": [("\u20ac5", "$5"), ("\u20ac5", "5 pounds"), ("$5", "$5 million"), ("5", "-$5")],
    "degrees": [("90\u00b0C", "90\u00b0F"), ("90\u00b0", "9")],
    "times": [("10:05", "10.05"), ("10:05 am", "10:05 pm"), ("1:30 PM", "1:30 AM"), ("13:30", "1:30"), ("5", "10:05")],
    "dates": [("2020-01-05", "2020-05-01"), ("2020-01-05", "6 January 2020"), ("5", "2020-01-05"), ("2020-01-05", "01/05/2020")],
    "lists": [("1, 2, 3", "3, 2, 1"), ("1, 2, 3", "1, 2"), ("1, 2", "12"), ("1, 2", "1, 2, 3")],
    "sets": [(r"\{1, 2\}", "{1, 3}"), ("{1, 2}", "[1, 2]"), ("{1, 2}", "{1, 2, 2}")],
    "intervals": [("(0, 1]", "(0, 1)"), ("(0, 1)", "[0, 1]"), ("(0, 1)", "(0, 2)")],
    "words": [("the Eiffel Tower", "Eiffel"), ("a", "the"), ("...", "!!!"), ("Paris", "Rome"), ("yes", "no"), ("hello", "olleh")],
    "names": [("x = 5", "y = 5"), ("x = 5", "6")],
}  # fmt: skip
MATHEMATICS = [
    (r"\frac{\sqrt{2}}{2}", r"\sqrt2/2"),
    ("1024", "2^{10}"),
    ("1024", "2**10"),
    (r"2\pi", "2\u03c0"),
    (r"2\pi", r"\pi \cdot 2"),
    ("(x+1)^2", "x^2+2x+1"),
    ("x^2 - 1", r"\boxed{(x-1)(x+1)}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}"),
    (r"(-\infty,2)\cup(3,\infty)", r"(3,\infty)\cup(-\infty,2)"),
    ("x > 2", r"(2, \infty)"),
    (r"\{1, \frac{\sqrt{2}}{2}\}", r"\{\sqrt{2}/2, 1\}"),
    (r"\sin^2 x + \cos^2 x", "1"),
    ("3+4i", "4i+3"),
    (r"\sqrt{12}", r"2\sqrt{3}"),
    ("y = 2x + 1", "y = 1 + 2x"),
    (r"\log_2 8", "3"),
]
NO_MATHEMATICS = [
    ("(x+1)^2", "x^2+2x+2"),
    (r"2\pi", "6.28"),
    (r"2\pi", "2"),
    ("1024", "2^{11}"),
    ("10", "2^{10}"),
    ("2", r"\sqrt{2}"),
    ("2", "2x"),
    ("5", "5x"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
    ("x > 2", r"[2, \infty)"),
    (r"\{1, 2\}", r"\{1, \sqrt{2}\}"),
    ("1", "9^{9^{9^{9}}}"),
    (r"\frac{1}{3}\pi", r"\pi"),
]


def score(gold: str, reply: str) -> float:
    (found,) = get_scorer("exact")([Example("q", "What is it, then?", gold)], [reply])
    return found.value


def table(rows: dict[str, list[tuple[str, str]]]) -> list[object]:
    return [pytest.param(*row, id=f"{kind}: {row[0]} | {row[1]}") for kind, pairs in rows.items() for row in pairs]


@pytest.mark.parametrize(("gold", "reply"), table(SAME))
@pytest.mark.parametrize("form", ["{}", "The answer is {}.", "So, after all that:\nAnswer: {}", r"Thus \boxed{{{}}}."])
def test_the_same_answer(form: str, gold: str, reply: str) -> None:
    assert score(gold, form.format(reply)) == 1


@pytest.mark.parametrize(("gold", "reply"), table(OTHER))
@pytest.mark.parametrize("form", ["{}", "The answer is {}.", r"Thus \boxed{{{}}}."])
def test_another_answer(form: str, gold: str, reply: str) -> None:
    assert score(gold, form.format(reply)) == 0


@pytest.mark.parametrize(("gold", "reply"), MATHEMATICS)
def test_equal_mathematics(gold: str, reply: str) -> None:
    for form in ("{}", "The answer is ${}$.", r"We find that \boxed{{{}}}."):
        assert score(gold, reply if "boxed" in reply else form.format(reply)) == 1, form
    assert score(reply if "boxed" not in reply else gold, gold) == 1


@pytest.mark.parametrize(("gold", "reply"), NO_MATHEMATICS)
def test_other_mathematics(gold: str, reply: str) -> None:
    for form in ("{}", "The answer is ${}$.", r"We find that \boxed{{{}}}."):
        assert score(gold, form.format(reply)) == 0, form


def test_a_comparison_ends() -> None:
    """Measured in processor time, however busy the machine is."""
    before = os.times()
    assert not symbolic.equal(r"9^{9^{9^{9^{9}}}} + x", "x + 1")
    assert not symbolic.equal(r"\int_0^1 x^{x^{x^x}} dx \cdot 10^{10^{10}}", "x + 3")
    after = os.times()
    assert after.children_user - before.children_user < 40
    assert symbolic.equal("x^2 + 2x + 1", "(x + 1)^2")  # with a process started again


def test_nothing_is_evaluated(tmp_path: object) -> None:
    marker = f"{tmp_path}/made"
    for text in (
        f"__import__('os').system('touch {marker}')",
        f"\\text{{open('{marker}','w')}} + 1",
        "a.__class__ + 1",
    ):
        symbolic.equal(text, "x + 1")
        score("x + 1", text)
    code = f"import os; print(os.path.exists({marker!r}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("gold", "reply", "value"),
    [
        ("5", "The answer is 5, 6", 0),
        ("6", "The answer is 5, 6", 0),
        ("5", "The answer is 5 or 6.", 0),
        ("6", "5, 6", 0),
        ("6", "It is 5 or 6", 0),
        ("6", r"\boxed{5, 6}", 0),
        ("6", r"\boxed{5} or \boxed{6}", 0),
        ("5, 6", r"\boxed{5} and \boxed{6}", 1),
        ("5, 6", "The answer is 5 and 6.", 1),
        ("6", r"\boxed{5}, which I correct: in fact \boxed{6}", 1),
        ("5", "The answer is 5, since 6 - 1 = 5", 1),
        ("5", "The answer is 5, not 6", 1),
        ("5", "The answer is x = 5", 1),
        ("8", "The answer is 3 + 5 = 8", 1),
        ("8", "8 = 3 + 5", 1),
        ("8", "In 1990, 5 people came and 3 more, so 8.", 1),
        ("18", "She makes 9 * 2 = $18 every day.", 1),
        ("5", "The distance is 5km", 1),
        ("2", r"The area is 2\pi", 0),
        ("10", "It is 2^{10}", 0),
        ("2", "The answer is 2x", 0),
        ("Paris", "The answer is Paris. It lies on the Seine.", 1),
        ("Paris", "The answer is Paris because it is the capital.", 1),
        ("St. Louis", "The answer is St. Louis.", 1),
        ("True", "The statement is false, no, it is true.", 1),
        ("False", "True", 0),
        ("False", "The statement is false.", 1),
        ("2020-01-05", "Answer: January 5, 2020", 1),
        ("5", "I take 6 away. <answer>5</answer>", 1),
        ("Paris", "<answer> <b>Paris</b> </answer>", 1),
        ("1000", "It is 10<sup>3</sup>", 1),
    ],
)
def test_what_is_stated(gold: str, reply: str, value: float) -> None:
    assert score(gold, reply) == value


ASKED = "Ann has 3 apples and buys 5 more. How many does she have?"


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("8\n\nQuestion: What is 2 + 2?\nAnswer: 4", 1),
        ("The answer is 8.\n\n**Question 2:** What is 2 + 2?\nThe answer is 4.", 1),
        ("Ann has 8 apples.\nQ: What is 2 + 2?\nA: 4", 1),
        ("8\nHuman: thanks, and 2 + 2?\nThe answer is 4", 1),
        (f"Let me restate this.\nQuestion: {ASKED}\nAnswer: 8", 1),
        ("We are told of 3 and 5 apples.\nQuestion: How many does she have?\nAnswer: 8", 1),
        ("Sure!\n\nProblem: apples are added up.\nThe answer is 8", 1),
        (f"Question: {ASKED}\nAnswer: 8\n\nQuestion: What is 2 + 2?\nAnswer: 4", 1),
        ("```\nQuestion: a comment\n```\n8", 1),
        ("8 <think>\nQuestion: or 9?", 1),
        ("<think>Question: more?</think>The answer is 8", 1),
        ("4\n\nQuestion: What is 2 + 2?\nAnswer: 8", 0),
    ],
)
def test_only_a_next_question_is_cut(reply: str, value: float) -> None:
    (found,) = get_scorer("exact")([Example("q", ASKED, "8")], [reply])
    assert found.value == value


VOTES = [
    (["50%", "50", "49"], 0),
    (["1/2", "3", "0.5"], 0),
    (["7", "The answer is 8.", "So it is 8 apples"], 1),
    (["10:05", "3 pm", "15:00"], 1),
    (["Paris", "Rome", "the answer is rome."], 1),
    (["Yes, there is a path.", "no", "I think yes."], 0),
    (["1, 2", "[1, 2]", "2, 1"], 0),
    (["<think>9</think>8", "9", "9\n\nQuestion: next?\n8"], 1),
    (["", "I cannot say", "5", "5.0"], 2),
]


def vote(replies: list[str], example: Example) -> int:
    found = majority(example, [Completion(reply, "stop", 1, 1) for reply in replies])
    return replies.index(found.text)


@pytest.mark.parametrize(("replies", "winner"), VOTES)
def test_equal_answers_are_one_ballot(replies: list[str], winner: int) -> None:
    assert vote(replies, Example("q", "What?", "")) == winner


def test_equal_mathematics_is_one_ballot() -> None:
    assert vote(["x", "(x+1)^2", r"\boxed{x^2+2x+1}"], Example("q", "What?", "")) == 1


def test_ballots_are_the_scorers_answers() -> None:
    lettered = Example("q", "Which?", "A", choices={"A": "red", "B": "green"})
    assert ballots(lettered, ["**Answer:** B", "green", "It is (A)", "?"]) == ["B", "B", "A", ""]
    marked = Example("q", "What?", "", meta={"pattern": r"ANSWER: ([\d.]+)"})
    assert ballots(marked, ["ANSWER: 5, or 7", "ANSWER: 5.0", "7"]) == ["5", "5", ""]


numbers = st.one_of(st.integers(-(10**9), 10**9).map(str), st.decimals(-(10**6), 10**6, places=3).map(str))


@given(numbers, numbers)
def test_a_number_scores_itself_alone(gold: str, other: str) -> None:
    for form in ("{}", "The answer is {}.", "I get {} apples", r"\boxed{{{}}}", "{} meters"):
        assert score(gold, form.format(gold)) == 1
        assert score(gold, form.format(other)) == (float(gold) == float(other))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_texts_can_be_compared(one: str, other: str) -> None:
    assert score(one, other) in (0, 1)
    assert same(one, one) == bool(one.strip())
    assert len(ballots(Example("q", "?", ""), [one, other])) == 2
