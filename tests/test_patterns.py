"""Patterns out of other people's files read as Python's own do, and end in time."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.errors import UserError
from hswarm.experts.pool import read_expert
from hswarm.patterns import compiled, fullmatch, last_match, match
from hswarm.scorers import get_scorer
from hswarm.tasks.task import Example

SLOW = "(a|aa)+$"
TEXT = "a" * 200 + "b"


@given(st.text("ab.(|)*+?[]^$\\\\d{1,2}", max_size=12), st.text("ab1", max_size=8))
def test_as_pythons_own(pattern: str, text: str) -> None:
    try:
        own = re.compile(pattern)
    except (re.error, FutureWarning):
        return
    try:
        assert fullmatch(pattern, text) == (own.fullmatch(text) is not None)
        found = match(pattern, text)
        assert (found is None) == (own.match(text) is None)
    except (ValueError, UserError) as fault:
        assert "pattern" in str(fault)


@pytest.mark.parametrize("ask", [fullmatch, match, last_match])
def test_one_whose_matching_would_not_end_is_ended(ask: Callable[[str, str], object]) -> None:
    began = time.process_time()
    with pytest.raises(UserError, match="takes over 0.5 s on .aaa.* without repeats inside repeats"):
        ask(SLOW, TEXT)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("pattern", ["(a{10000}){10000}", "a" * 10_001, "((((a{99}){99}){99}){99})", "(", "a{5,1}"])
def test_an_enormous_or_broken_one_is_refused_before_it_is_made(pattern: str) -> None:
    with pytest.raises(ValueError, match="the pattern"):
        compiled(pattern)


def test_no_scorer_hangs() -> None:
    with pytest.raises(UserError, match="takes over"):
        get_scorer("regex", {"pattern": SLOW})([Example("1", "q", "a")], [TEXT])


@pytest.mark.parametrize("key", ["rank_pattern", "target_modules", "layers_pattern"])
def test_no_adapter_hangs(root: Path, tmp_path: Path, key: str) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(root / "experts/micro/pool/gul", folder)
    path = folder / "adapter_config.json"
    slow = "(.|..|...|....)+0"
    value = {"rank_pattern": {slow: 8}, "target_modules": slow, "layers_pattern": [slow]}[key]
    more = {"target_modules": ["q_proj"], "layers_to_transform": [0]} if key == "layers_pattern" else {}
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value} | more))
    began = time.process_time()
    with pytest.raises(UserError):
        read_expert(folder)
    assert time.process_time() - began < 10
