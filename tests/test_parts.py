"""Adding a part is one file: as the guides show it, from an installed package, and dropped into this one."""

import ast
import dataclasses
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hswarm.analysis.context import analysis
from hswarm.cli.rooms import PLACES
from hswarm.cli.rooms import room as room_of
from hswarm.engines.base import engine
from hswarm.errors import ConfigError, MissingExtra
from hswarm.experts.remote import ApiLimits
from hswarm.methods import get_method
from hswarm.methods.base import method
from hswarm.options import configured
from hswarm.registry import Option, Part, Room, declared, parameters
from hswarm.scorers import get_scorer
from hswarm.scorers.base import scorer
from hswarm.tasks import TaskSettings, load_task
from hswarm.tasks.task import Task, task
from tests.pages import commands, files, hswarm

# the guide of a kind, its room, where the file goes, and the name that the guide's part has
GUIDES: list[tuple[str, Room[Any], str, str]] = [
    ("adding-a-task.md", task, "tasks", "doubles"),
    ("adding-a-scorer.md", scorer, "scorers", "ends_with"),
    ("adding-an-engine.md", engine, "engines", "echo"),
    ("adding-a-method.md", method, "methods", "nth_best"),
    ("adding-an-analysis.md", analysis, "analysis", "lengths"),
]
RECIPE = """
[task]
name = "doubles"
scorer = "ends_with"
scorer_options.lower = false
options.doubles.most = 100
dev = 8
test = 8
[engine]
name = "echo"
options.words = 7
[pool]
path = "POOL"
base = "BASE"
[methods.nth_best]
nth = 3
"""
OPTIONS = ("most: int = 1000", "lower: bool = True", "words: int = 5", "nth: int = 2", "long: int = 8")


@pytest.mark.parametrize("page", [page for page, *_ in GUIDES])
def test_a_guide_works_as_it_is_shown(page: str, tmp_path: Path) -> None:
    for name, text in files(page).items():
        (tmp_path / name).write_text(text)
    assert len(commands(page)) >= 2
    for command in commands(page):
        made = hswarm(command, tmp_path)
        assert made.returncode == 0, f"{command}: {made.stderr}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package of adding-a-part.md is installed, with the parts of all guides."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    (source / "pyproject.toml").write_text(files("adding-a-part.md")["pyproject.toml"])
    (source / "mine").mkdir()
    for page, room, _, _ in GUIDES:
        (source / "mine" / f"{room.word}.py").write_text(files(page)["mine.py"])
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return target


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A copy of this package, into each room of which a file was put, and nothing else changed."""
    source = tmp_path_factory.mktemp("copy")
    shutil.copytree(root / "src/hswarm", source / "hswarm", ignore=shutil.ignore_patterns("__pycache__"))
    for page, _, folder, name in GUIDES:
        (source / "hswarm" / folder / f"{name}.py").write_text(files(page)["mine.py"])
    return source


@pytest.mark.parametrize("where", ["installed", "copied"])
def test_all_kinds_of_parts_are_listed_and_used(
    where: str, request: pytest.FixtureRequest, tmp_path: Path, root: Path
) -> None:
    """One search uses a task, a scorer, an engine and a method with their options, then an analysis looks at it."""
    path: Path = request.getfixturevalue(where)
    for (_, room, _, name), option in zip(GUIDES, OPTIONS, strict=True):
        rows = [line.split("\t") for line in hswarm(f"hswarm list {room.name}", tmp_path, path).stdout.splitlines()]
        (row,) = (row for row in rows if row[0] == name)
        assert row[1:] == [row[1], f"https://example.org/{name}", "-", option]
    micro = root / "experts/micro"
    (tmp_path / "recipe.toml").write_text(
        RECIPE.replace("POOL", str(micro / "pool")).replace("BASE", str(micro / "base"))
    )
    for command, said in (
        ("hswarm tasks show recipe.toml", "doubles: 8 dev, 8 test questions; scorer ends_with"),
        ("hswarm search recipe.toml --method nth_best --run run", "found system"),
        ("hswarm analyze run --only lengths --set lengths.long=7", "8 of 8 replies on test have 7 words or more"),
        ("hswarm analyze run", "Lengths of replies"),
    ):
        made = hswarm(command, tmp_path, path)
        assert (made.returncode, said in made.stdout) == (0, True), f"{command}: {made.stdout}{made.stderr}"
    wrong = hswarm("hswarm plan recipe.toml --set engine.name=ecko", tmp_path, path)
    assert (wrong.returncode, "did you mean 'echo'" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("room", [room_of(name) for name in PLACES], ids=PLACES)
def test_every_part_says_what_it_is(room: Room[Part], root: Path) -> None:
    """Its line; extras that there are; and options, read without importing, are those that the definition has."""
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert room.parts
    for name, part in room.parts.items():
        assert part.about, name
        assert set(part.extras) <= extras.keys(), name
        assert name.replace("_", "").isalnum(), name
        try:
            made = room.get(name)
        except MissingExtra:
            continue
        known = {one.name: one.default for one in parameters(made)}
        assert [option.name for option in part.options] == list(known), name
        for option in part.options:
            if known[option.name] is not inspect_empty(made, option.name):
                assert ast.literal_eval(option.default) == known[option.name], (name, option)


def inspect_empty(made: object, name: str) -> object:
    """The default of an option that must be given."""
    return next(one.empty for one in parameters(made) if one.name == name)  # type: ignore[arg-type]


def test_listing_imports_no_part() -> None:
    code = (
        "import sys; from hswarm.cli.rooms import PLACES, room as r; ROOMS = {n: r(n) for n in PLACES};"
        "[room.about(n) for room in ROOMS.values() for n in room.parts];"
        "print([part.place for room in ROOMS.values() for part in room.parts.values() "
        "if part.place.partition(':')[0] in sys.modules], 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "False" in said
    assert not [place for place in ("gnn", "engines.openvino", "tasks.named", "scorers.judge") if place in said]


def test_declarations_are_read_without_running_them() -> None:
    source = (
        '@method("same", "one")\ndef first(*, a: int = 1, b=None): ...\n'
        '@method("same", paper="arXiv 1")\n@dataclass(frozen=True)\nclass Second:\n    c: str\n    d: ClassVar[int] = 2\n'
        '@method("third")\nclass Third:\n    def __init__(self, x, *, e: float = 0.5): ...\n'
        'fourth = method("fourth")(Named(1))\n'
    )
    assert declared(source, "method", "some.module", Part) == [
        Part("same", "one", "", (), "some.module:first", (Option("a", "int", "1"), Option("b", "", "None"))),
        Part("same", "", "arXiv 1", (), "some.module:Second", (Option("c", "str"),)),
        Part("third", place="some.module:Third", options=(Option("e", "float", "0.5"),)),
        Part("fourth", place="some.module:fourth"),
    ]


def test_inherited_settings_are_options_too() -> None:
    """The judge takes the limits of every model behind an API, which stand in one place."""
    options = {one.name: one.default for one in scorer.about("judge").options}
    limits = {one.name: repr(one.default) for one in dataclasses.fields(ApiLimits)}
    assert limits.items() <= options.items()
    with pytest.raises(ConfigError, match="concurrency: must be at least 1, got 0"):
        get_scorer("judge", {"model": "m", "url": "http://x/v1", "concurrency": 0})


def settable(settings: object, *, size: int, name: str = "", share: float = 0.5) -> object:
    """A part with options."""
    return settings, size, name, share


def test_options_are_checked_all_at_once() -> None:
    assert configured(settable, {"size": 3, "share": 1}, "here")("s") == ("s", 3, "", 1.0)
    with pytest.raises(ConfigError) as told:
        configured(settable, {"nane": "x", "share": "much"}, "here")
    assert told.value.faults == [
        "unknown key 'here.nane'; did you mean 'name'?",
        "here.size is missing",
        'here.share: expected a number, got "much"',
    ]
    with pytest.raises(ConfigError, match="unknown key 'methods.best_single.size'; there are no options"):
        get_method("best_single", {"size": 1})
    with pytest.raises(ConfigError, match='methods.lorahub.bound: expected a number, got "wide"'):
        get_method("lorahub", {"bound": "wide"})
    with pytest.raises(ConfigError, match="task.options.toy.steps: expected a whole number"):
        load_task(TaskSettings(name="toy", options={"toy": {"steps": "four"}}))
    with pytest.raises(ConfigError, match="unknown key 'task.options.tyo'; did you mean 'toy'"):
        load_task(TaskSettings(name="toy", options={"tyo": {"steps": 3}}))


def test_names_with_hyphens_are_read_as_they_are_written_now() -> None:
    assert TaskSettings(name="reasoning-gym", scorer="token-f1") == TaskSettings(
        name="reasoning_gym", scorer="token_f1"
    )
    assert Task("t", (), (), "token-f1", reference="reference-last5").reference == "reference_last5"
    assert get_scorer("reference-last5")
    assert method.chosen("best-single,self-consistency") == ["best_single", "self_consistency"]
    assert task.about("knowledge-crosswords").name == "knowledge_crosswords"
    for room in map(room_of, PLACES):
        assert not [name for name in room.parts if "-" in name]
