"""Damaged files of every kind that hswarm reads: each gives HSwarmError or a value, never anything else."""

import json
import os
import random
import resource
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import hswarm
from hswarm.config.recipe import build_recipe, read_recipe
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings
from hswarm.errors import HSwarmError
from hswarm.experiments.search import resume, search
from hswarm.experts.checkpoint import chat_template, tokenizer_digest
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.experts.remote import RemoteExpert, RemoteSettings
from hswarm.report.render import html_page
from hswarm.report.summary import gather
from hswarm.runs.answers import read_answers
from hswarm.runs.directory import Run
from hswarm.scorers import task_scorer
from hswarm.scorers.golds import unreadable_golds
from hswarm.system.cache import Cache
from hswarm.tasks import TaskSettings, load_task
from hswarm.tasks.check import check_task, verdict
from hswarm.tasks.formats import read_data
from hswarm.training.data import read_rows
from hswarm.training.train import read_train_recipe
from tests.conftest import toy_content
from tests.engines.tiny import llama
from tests.experts.adapters import adapter
from tests.experts.checkpoints import checkpoint
from tests.faults.harness import make_recipe
from tests.known import adapter as known_adapter

FUZZ_INPUTS = int(os.environ.get("FUZZ_INPUTS", "60"))  # of each kind; docs/reliability.md has what 1,600 took
DATA: dict[str, Any] = {
    "dev": [{"question": "q", "answer": "A", "choices": {"A": "x", "B": "y"}, "context_chunks": ["c"]}],
    "test": [{"id": 1, "question": "r", "answer": "B", "choices": {"A": "x", "B": "y"}}],
    "icl_prompt": "p",
}

# What JSON, TOML and headers choke on, put in place of pieces of a whole file.
NASTY = [
    b"",
    b"\0",
    b"null",
    b"NaN",
    b"-1",
    b"1e999",
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"\xff\xfe",
    b'"\\ud800"',
    b"../../../etc/passwd",
    b"/etc/passwd",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b"18446744073709551615",
    b"\x1b[2J",
    b"'''",
    b"9223372036854775807",
    b"-0.0",
    "\u202e".encode(),
]


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A function that damages bytes: cuts, flips, repeats, splices, or replaces one value of a JSON text."""
    kind = draw(st.sampled_from(["cut", "flip", "nasty", "repeat", "noise", "value", "value"]))
    rng = random.Random(draw(st.integers(0, 2**32)))
    nasty, junk = draw(st.sampled_from(NASTY)), draw(st.binary(max_size=40))

    def apply(content: bytes) -> bytes:
        i, j = sorted((rng.randint(0, len(content)), rng.randint(0, len(content))))
        if kind == "value":
            return _replace_value(content, rng, nasty)
        if kind == "flip" and content:
            changed = bytearray(content)
            for _ in range(rng.randint(1, 8)):
                changed[rng.randrange(len(content))] = rng.randrange(256)
            return bytes(changed)
        return {
            "cut": content[:i],
            "nasty": content[:i] + nasty + content[j:],
            "repeat": content[:j] + content[i:],
            "noise": content[:i] + junk + content[i:],
        }.get(kind, junk)

    return apply


def _replace_value(content: bytes, rng: random.Random, nasty: bytes) -> bytes:
    """A text between delimiters, replaced: the file stays well-formed more often than not."""
    marks = [i for i, byte in enumerate(content[:20_000]) if byte in b':,=[{}]"\n']
    if len(marks) < 2:
        return nasty
    i = rng.randrange(len(marks) - 1)
    return content[: marks[i] + 1] + nasty + content[marks[i + 1] :]


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run, pool and task, to be damaged."""
    folder = tmp_path_factory.mktemp("whole")
    make_recipe(folder)
    search(build_recipe(toy_content(iterations=1)), folder / "run")
    (folder / "task.json").write_text(json.dumps(DATA))
    (folder / "task.jsonl").write_text(
        "\n".join(json.dumps(entry | {"split": s}) for s in ("dev", "test") for entry in DATA[s])
    )
    _flatten(folder / "run" / "cache.sqlite")
    shutil.copytree(folder / "run", folder / "finished")
    (folder / "run" / "report.json").unlink()
    for name, text in TABLES.items():
        (folder / name).write_text(text)
    patterns = {"rank_pattern": {"layers.1.*q_proj": 2}, "alpha_pattern": {"q_proj": 8}, "use_rslora": True}
    adapter(folder / "patterns/one", **patterns)
    checkpoint(folder / "whole", shards=2)
    llama(folder / "base", 0)
    remote = RemoteSettings("far", "m", "http://127.0.0.1:1/v1", "KEY")
    RemoteExpert(remote).write(folder / "remote")
    (folder / "training").mkdir()
    (folder / "training/train.toml").write_text(TRAINING)
    (folder / "training/rows.jsonl").write_text("".join(json.dumps({"messages": CHAT}) + "\n" for _ in range(3)))
    return folder


def _flatten(path: Path) -> None:
    """Everything in the database file itself."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()


def read_cache(path: Path) -> None:
    cache = Cache(path)
    try:
        keys = [row[0] for row in cache._db.execute("SELECT key FROM calls LIMIT 5")]
        for entry in cache.get(keys).values():
            assert isinstance(entry.completion.text, str)
            assert entry.completion.finish in ("stop", "length", "failed")
    except sqlite3.Error:
        pass  # of the question above, not of the reader
    finally:
        cache.close()


def read_whole_run(path: Path) -> None:
    """As `hswarm resume` does, to the end."""
    run = Run.open(path)
    run.history()
    resume(path)


def read_task(folder: Path, name: str) -> None:
    """As `hswarm tasks check` does, and as a search scores: every gold and every question as a reply."""
    task = load_task(TaskSettings(path=str(folder / name)))
    told = verdict(check_task(task), unreadable_golds(task))
    assert told.status in (0, 1, 2)
    examples = (*task.dev, *task.test)
    score = task_scorer(task)
    for replies in ([example.answer for example in examples], [example.question for example in examples]):
        assert all(0 <= found.value <= 1 for found in score(examples, replies))


def read_page(path: Path) -> None:
    html_page(gather(Run.open(path)))


def read_page_and_answers(path: Path) -> None:
    read_page(path)
    read_answers(Run.open(path))


def read_adapters(path: Path) -> None:
    for expert in open_pool(PoolSettings(path=str(path), mixed=True), least=1).experts:
        assert np.isfinite(known_adapter(expert).vector).all()


def read_checkpoint(path: Path) -> None:
    pool = open_pool(PoolSettings(path=str(path.parent), experts=("f",), mixed=True), least=1)
    assert tokenizer_digest(path) or pool
    chat_template(path)


def read_base(path: Path) -> None:
    """As a search does before its first call."""
    pytest.importorskip("torch")
    open_engine(EngineSettings("transformers", dtype="float32"), str(path))


def read_lessons(path: Path) -> None:
    settings = read_train_recipe(path / "train.toml")
    for domain in settings.experts:
        read_rows(domain, path)


CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "5"}]
TABLES = {
    "task.csv": 'question,A,B,answer\nq,x,y,B\n"r, s",x,y,A\nt,x,y,B\n',
    "task.tsv": "question\tchoices\tanswer\nq\t['x', 'y']\ty\nr\t[\"x\", \"y\"]\tA\n",
    "chat.jsonl": "".join(json.dumps({"messages": CHAT, "id": i}) + "\n" for i in range(3)),
    "told.json": json.dumps(
        {
            "task_type": "f1_match",
            "validation": [{"input": "q", "output": '["a", "b"]'}],
            "test": [{"input": "r", "output": "c"}],
        }
    ),
    "turns.jsonl": "".join(json.dumps([*CHAT[:1], {"role": "assistant", "content": str(i)}]) + "\n" for i in range(3)),
    "passages.jsonl": "".join(
        json.dumps({"Passage": f"p{i}", "question": f"q{i}", "Correct Answer": str(i)}) + "\n" for i in range(3)
    ),
    "maths.jsonl": "".join(
        json.dumps({"problem": f"p{i}", "solution": gold}) + "\n"
        for i, gold in enumerate(("2\\pi", "#### 5", "[0, 1)", "5 km"))
    ),
}
# not config.json: transformers makes a model of any size that it says
BASE = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
TRAINING = """
base = "tiny/base"
out = "pool"
rank = 2
steps = 5
[[experts]]
name = "one"
files = ["rows.jsonl"]
"""

# What is damaged, and what then reads it. The readers get the file's folder.
READERS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "adapter config": ("pool", "step-0/adapter_config.json", lambda f: open_pool(PoolSettings(path=str(f)))),
    "adapter weights": ("pool", "step-0/adapter_model.safetensors", lambda f: open_pool(PoolSettings(path=str(f)))),
    "recipe": ("run", "config.toml", lambda f: read_recipe(f / "config.toml")),
    "task json": ("", "task.json", lambda f: read_data(f / "task.json")),
    "task jsonl": ("", "task.jsonl", lambda f: read_data(f / "task.jsonl")),
    "system": ("run/best", "system.json", hswarm.load),
    "vector": ("run/best", "experts/step-0/vector.safetensors", hswarm.load),
    "history": ("run", "history.jsonl", lambda f: Run.open(f).history()),
    "checkpoint": ("run", "state/state.safetensors", read_whole_run),
    "cache": ("run", "cache.sqlite", lambda f: read_cache(f / "cache.sqlite")),
    **{f"task {name}": ("", name, partial(read_task, name=name)) for name in TABLES},
    "report": ("finished", "report.json", read_page),
    "report's history": ("finished", "history.jsonl", read_page),
    "answers": ("finished", "answers.jsonl", read_page_and_answers),
    "adapter with patterns": ("patterns", "one/adapter_config.json", read_adapters),
    "checkpoint config": ("whole", "config.json", read_checkpoint),
    "checkpoint tokenizer": ("whole", "tokenizer.json", read_checkpoint),
    "checkpoint template": ("whole", "tokenizer_config.json", read_checkpoint),
    "checkpoint index": ("whole", "model.safetensors.index.json", read_checkpoint),
    "checkpoint shard": ("whole", "model-00001-of-00002.safetensors", read_checkpoint),
    **{f"base's {name}": ("base", name, read_base) for name in BASE},
    "remote expert": ("remote", "remote.json", RemoteExpert.read),
    "training recipe": ("training", "train.toml", read_lessons),
    "training rows": ("training", "rows.jsonl", read_lessons),
}


def damaged(whole_files: Path, what: str, inputs: int) -> None:
    place, name, read = READERS[what]
    content = (whole_files / place / name).read_bytes()
    slowest, refused = 0.0, 0

    @seed(0)
    @settings(max_examples=inputs, database=None, suppress_health_check=list(HealthCheck), print_blob=False)
    @given(damage())
    def check(apply: Callable[[bytes], bytes]) -> None:
        nonlocal slowest, refused
        with tempfile.TemporaryDirectory(dir=memory) as scratch:
            folder = Path(scratch) / "f"
            if place:
                shutil.copytree(whole_files / place, folder)
            else:
                folder.mkdir()
            (folder / name).write_bytes(apply(content))
            began = time.monotonic()
            try:
                read(folder)
            except HSwarmError:
                refused += 1
            slowest = max(slowest, time.monotonic() - began)

    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{what}: {inputs} inputs, {refused} refused, slowest {slowest:.2f} s, {grown:.0f} MB more at most")
    assert refused
    assert slowest < 20
    assert grown < 200


@pytest.mark.parametrize("what", READERS)
def test_damaged_files_are_refused_by_name(whole_files: Path, what: str) -> None:
    """A checkpoint is resumed to the end each time, so there are fewer."""
    damaged(whole_files, what, FUZZ_INPUTS // 4 if what == "checkpoint" else FUZZ_INPUTS)
