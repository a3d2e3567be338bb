"""What the judge makes of ratings, good, late and missing; tests/engines/test_openai.py has it over a real server."""

import math
from collections.abc import Mapping, Sequence

import pytest

from hswarm.errors import UserError
from hswarm.experts.expert import Expert
from hswarm.experts.remote import RemoteExpert
from hswarm.scorers import get_scorer
from hswarm.scorers.judge import judge_of_task
from hswarm.tasks.task import Example, Task

EXAMPLES = [Example(str(i), f"q{i}", "gold") for i in range(5)]


class Rater:
    """Rates by the response; `late` is rated at the second asking."""

    def __init__(self) -> None:
        self.prompts: list[list[str]] = []
        self.models: list[Expert | None] = []

    def __call__(self, questions: Mapping[int, Example]) -> dict[int, str | None]:
        raise AssertionError("a judge asks the system nothing")

    def ask(self, model: Expert | None, prompts: Sequence[str], max_new_tokens: int) -> list[str | None]:
        self.prompts.append(list(prompts))
        self.models.append(model)
        return [self._reply(prompt) for prompt in prompts]

    def _reply(self, prompt: str) -> str | None:
        if "<<<\nlate" in prompt:
            return "3" if len(self.prompts) == 2 else "hm"
        return {"good": "Rating: 9", "odd": "no idea", "gone": None}[prompt.split("<<<\n")[1].split("\n")[0]]


def test_ratings_become_scores_and_failures_never_do() -> None:
    rater = Rater()
    scores = get_scorer("judge")(EXAMPLES, ["good", "late", "odd", "gone", " "], rater)
    assert [score.value for score in scores[:2]] == [0.9, 0.3]
    assert all(math.isnan(score.value) for score in scores[2:4])
    assert scores[4] == (0, False, "")
    assert [len(prompts) for prompts in rater.prompts] == [4, 3]  # the empty one is not asked about, the rated one once
    assert rater.models == [None, None]
    assert all(text in rater.prompts[0][0] for text in ("q0", "gold", "good"))


def test_a_named_judge_is_asked() -> None:
    rater = Rater()
    get_scorer("judge", {"model": "m", "url": "http://x/v1", "calls": 9})(EXAMPLES[:1], ["good"], rater)
    (asked,) = rater.models
    assert isinstance(asked, RemoteExpert)
    assert (asked.remote.model, asked.remote.calls) == ("m", 9)


@pytest.mark.parametrize(
    "options",
    [
        {"model": "m"},
        {"url": "http://x/v1"},
        {"model": "m", "url": "x"},
        {"model": "m", "url": "http://x", "attempts": 0},
        {"modle": "m"},
    ],
)
def test_wrong_options_are_refused_before_anything_is_asked(options: dict[str, object]) -> None:
    with pytest.raises(UserError):
        get_scorer("judge", options)


def test_the_judge_of_a_task_is_the_model_that_scores_it() -> None:
    dev = tuple(EXAMPLES[:1])
    judged = judge_of_task(Task("t", dev, (), "judge", scorer_options={"model": "m", "url": "http://x/v1"}))
    assert judged is not None
    assert judged.remote.model == "m"
    assert judge_of_task(Task("t", dev, (), "judge")) is None
    assert judge_of_task(Task("t", dev, (), "exact")) is None
