"""Scorers that a task may name: token F1, regex, code against tests, a reward model, any callable."""

import time
from pathlib import Path

import pytest

from hswarm.errors import ConfigError, TaskError, UserError
from hswarm.scorers import get_scorer, task_scorer
from hswarm.scorers.base import Score
from hswarm.tasks.task import Example, Task

TESTS = "assert add(2, 3) == 5\nassert add(-1, 1) == 0"


def score(name: str, answer: str, response: str, **options: object) -> Score:
    return get_scorer(name, options)([Example("0", "q", answer)], [response])[0]


@pytest.mark.parametrize(
    ("gold", "response", "value"),
    [
        ("the red cat", "A red cat", 1),
        ("red cat", "red dog", 0.5),
        ("red", "blue", 0),
        ("red cat", "cat cat cat red", 2 / 3),
        ("x", "", 0),
    ],
)
def test_token_f1(gold: str, response: str, value: float) -> None:
    assert score("token_f1", gold, response).value == pytest.approx(value)


def test_regex_takes_the_last_match() -> None:
    assert score("regex", "7", "ANSWER: 5, no, ANSWER: 7.0", pattern=r"ANSWER: ([\d.]+)").value == 1
    assert score("regex", "5", "ANSWER: 5, no, ANSWER: 7", pattern=r"ANSWER: (\d+)").value == 0
    assert not score("regex", "5", "5", pattern=r"ANSWER: (\d+)").parsed
    for options, word in (
        ({}, "task.scorer_options.pattern is missing"),
        ({"pattern": "("}, "no regular expression"),
        ({"patern": "x"}, "did you mean 'pattern'"),
    ):
        with pytest.raises(UserError, match=word):
            score("regex", "5", "5", **options)


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("def add(a, b):\n    return a + b", 1),
        ("Here it is:\n```python\ndef add(a, b):\n    return a + b\n```\nDone.", 1),
        ("```\ndef add(a, b):\n    return a - b\n```", 0),
        ("```python\nimport sys\nsys.exit(0)\n```", 0),
        ("```python\nimport os\nos._exit(0)\n```", 0),
        ("I cannot do that.", 0),
        ("", 0),
    ],
)
def test_code_must_run_to_the_end_of_the_tests(response: str, value: float) -> None:
    assert score("code", TESTS, response).value == value


def test_tests_that_only_define_a_check_are_run_on_the_first_function() -> None:
    tests = "def check(candidate):\n    assert candidate(2, 3) == 5\n"
    assert score("code", tests, "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b").value == 1
    assert score("code", tests, "def sub(a, b):\n    return a - b").value == 0
    assert (
        score("code", f"{tests}\ncheck(sub)", "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return 5").value
        == 1
    )


def test_code_has_limits(tmp_path: Path) -> None:
    began = time.monotonic()
    assert score("code", TESTS, "while True: pass", timeout_s=1).value == 0
    assert time.monotonic() - began < 30
    memory = "def add(a, b):\n    return a + b\nx = bytearray(900 * 2**20)"
    assert score("code", TESTS, memory).value == 0
    assert score("code", TESTS, memory, memory_mb=2000).value == 1
    kept = tmp_path / "kept"
    child = f"import subprocess\nsubprocess.Popen(['sh', '-c', 'sleep 2; touch {kept}'])\ndef add(a, b): return a + b"
    score("code", TESTS, child)
    time.sleep(3)
    assert not kept.exists()


def test_code_sees_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    assert score("code", "import os\nassert 'A_SECRET' not in os.environ", "x = 1").value == 1


def test_any_callable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_scorers.py").write_text(
        "from hswarm.scorers.base import Score\n"
        "def shout(examples, responses, *, mark='!'):\n"
        "    return [Score(float(mark in r), True, r) for r in responses]\n"
    )
    monkeypatch.chdir(tmp_path)
    task = Task("t", (), (), "my_scorers:shout", scorer_options={"mark": "?"})
    assert [s.value for s in task_scorer(task)([Example("0", "q", "a")] * 2, ["hey?", "hey!"])] == [1, 0]
    for name in ("my_scorers:whisper", "nowhere:shout", "my_scorers:"):
        with pytest.raises(ConfigError, match="cannot be imported"):
            get_scorer(name)


def test_reference_is_the_tasks_own() -> None:
    last5 = Task("t", (), (), "exact", reference="reference_last5")
    example = [Example("0", "q", "5")]
    assert task_scorer(last5, "reference")(example, ["5 a b c d e"])[0].value == 0
    assert task_scorer(Task("t", (), (), "exact"), "reference")(example, ["5 a b c d e"])[0].value == 1


@pytest.mark.model
@pytest.mark.slow
def test_reward_model(tmp_path: Path) -> None:
    """A real classifier of one output, tiny and untrained: its own output must come back, whatever the batch."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    from hswarm.experts.base import find_base

    tokenizer = AutoTokenizer.from_pretrained(find_base("smollm2-135m"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id or 0,
    )
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    examples, responses = [Example(str(i), f"question {i}", "") for i in range(3)], ["yes", "a longer reply", ""]
    scores = get_scorer("reward", {"model": str(tmp_path), "batch": 2})(examples, responses)
    alone = [
        get_scorer("reward", {"model": str(tmp_path)})([e], [r])[0].value
        for e, r in zip(examples, responses, strict=True)
    ]
    assert [s.value for s in scores] == pytest.approx(alone, abs=1e-4)
    assert len(set(alone)) == 3
    assert [s.parsed for s in scores] == [True, True, False]
    with pytest.raises(TaskError, match="cannot be opened"):
        get_scorer("reward", {"model": str(tmp_path / "none")})(examples, responses)
