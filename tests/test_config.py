"""Recipes: all faults at once with near names, layers in order, and nothing that no code reads."""

import ast
import dataclasses
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hswarm.config.recipe import PRESETS, Recipe, build_recipe, read_recipe, same_recipe
from hswarm.errors import ConfigError
from hswarm.experiments.parameters import SPACES, read_space
from hswarm.experts.remote import RemoteSettings
from hswarm.training.data import Domain
from hswarm.training.train import TrainSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def test_all_faults_at_once_with_near_names(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        "sed = 1\n[search]\ngraps = 3\niterations = 0\n[engine]\ndtype = 'float31'\n[role]\ninertia = 'x'\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_recipe(path, ["nonsense.deep.key=1"])
    text = str(caught.value)
    for part in (
        "unknown key 'sed'; did you mean 'seed'?",
        "'search.graps'; did you mean 'graphs'?",
        "search.iterations: must be at least 1, got 0",
        "engine.dtype",
        "role.inertia",
        "unknown key 'nonsense'",
    ):
        assert part in text


@pytest.mark.parametrize("text", ["= 3", "[search\n", "\xff\x00", "a" * 10])
def test_not_toml(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        read_recipe(tmp_path / "r.toml")


def test_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recipe at"):
        read_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["demo", "toy", "paper/abkg"])
def test_recipes_are_read_and_written_back(tmp_path: Path, root: Path, name: str) -> None:
    recipe = read_recipe(root / f"recipes/{name}.toml")
    (tmp_path / "again.toml").write_text(recipe.to_toml())
    assert read_recipe(tmp_path / "again.toml") == recipe


def test_a_recipe_holds_any_text_and_nothing_for_none(tmp_path: Path) -> None:
    texts = ["", 'a"b\\', "line\nnext", "tab\t\x7f", "# no comment", "naïve 模 😀", "2020-01-01", "true"]
    content = {"methods": {f"part {i}": {text: [text, {"k": text, "none": None}]} for i, text in enumerate(texts)}}
    recipe = build_recipe(content)
    path = tmp_path / "r.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    kept = tomllib.loads(recipe.to_toml())["methods"]
    assert kept == {f"part {i}": {text: [text, {"k": text}]} for i, text in enumerate(texts)}
    assert "None" not in recipe.to_toml()


def test_a_recipe_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    recipe = build_recipe({"seed": 3, "engine": {"devices": [0, 1]}})
    path = tmp_path / "kept.toml"
    path.write_text("# mine\n" + recipe.to_toml().replace("[\n    0,\n    1,\n]", "[0, 1]"))
    assert "[0, 1]" in path.read_text()
    assert same_recipe(path, recipe)
    assert not same_recipe(path, build_recipe({"seed": 4, "engine": {"devices": [0, 1]}}))
    path.write_text("seed = ")
    assert not same_recipe(path, recipe)


def test_layers_default_preset_file_command_line(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("preset = 'paper'\n[search]\ngraphs = 3\n")
    recipe = read_recipe(path)
    assert (recipe.search.graphs, recipe.decode.top_p, recipe.prompts.layout) == (3, 0.8, "paper")
    assert read_recipe(path, ["search.graphs=4"]).search.graphs == 4
    assert read_recipe(path, preset="reference").search.graphs == 10
    assert read_recipe(path, ["search.graphs=2"], "reference").search.graphs == 2


def test_a_fault_says_once_what_came() -> None:
    with pytest.raises(ConfigError) as caught:
        build_recipe({"task": {"dev": 0}, "seed": -1})
    assert sorted(caught.value.faults) == [
        "seed: must be at least 0, got -1",
        "task.dev: must be at least 1, got 0",
    ]


def test_an_override_without_equals(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("")
    with pytest.raises(ConfigError, match=r"section\.field=value"):
        read_recipe(tmp_path / "r.toml", ["no-equals"])


def test_relative_folders_that_are_set_count_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's config is read from the run's folder: `hswarm resume` did not find a pool that --set had named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "base").mkdir()
    (tmp_path / "recipes/r.toml").write_text('[pool]\npath = "other"\n')
    recipe = read_recipe("recipes/r.toml", ["pool.path=mine", "pool.base=base", "search.cache=calls"])
    assert (recipe.pool.path, recipe.pool.base) == (str(tmp_path / "mine"), str(tmp_path / "base"))
    assert recipe.search.cache == str(tmp_path / "calls")
    assert read_recipe("recipes/r.toml", ["pool.base=owner/name"]).pool.base == "owner/name"


def test_relative_folders_count_from_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/r.toml").write_text("[pool]\npath = '../pool'\nbase = '../base'\n[task]\npath = 'data.json'\n")
    recipe = read_recipe(tmp_path / "sub/r.toml")
    assert (recipe.pool.path, recipe.pool.base) == (str(tmp_path / "pool"), str(tmp_path / "base"))
    assert recipe.task.path == str(tmp_path / "sub/data.json")


def reads(source: str) -> set[tuple[str, str]]:
    """(owner, attribute) of what `source` reads: "a.b" of x.a.b; in a class's own methods its name stands for self.

    A class that checks its own values (self.x in __post_init__) does not read them.
    """
    found = set()

    def walk(node: ast.AST, own: str, checking: bool) -> None:
        own = node.name if isinstance(node, ast.ClassDef) else own
        checking = node.name == "__post_init__" if isinstance(node, ast.FunctionDef) else checking
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            if name != "self" or not checking:
                found.add((own if name == "self" else name.lstrip("_"), node.attr))
        for child in ast.iter_child_nodes(node):
            walk(child, own, checking)

    walk(ast.parse(source), "", False)
    return found


def unread(kind: "type[DataclassInstance]", section: str, known: set[tuple[str, str]]) -> list[str]:
    """Fields of the settings `kind`, in `section` of a recipe, that nothing in `known` reads."""
    owners = {"settings", "recipe", section, kind.__name__}
    return [field.name for field in dataclasses.fields(kind) if not {(owner, field.name) for owner in owners} & known]


def settings_of_recipes() -> "Iterator[tuple[str, type[DataclassInstance]]]":
    """(section, settings) of everything that a recipe of a search or of a training may hold."""
    for section, field in Recipe.model_fields.items():
        if dataclasses.is_dataclass(field.annotation):
            yield section, field.annotation
    yield from (("remote", RemoteSettings), ("settings", TrainSettings), ("domain", Domain))


def test_every_field_is_read_by_some_code(root: Path) -> None:
    known = set[tuple[str, str]]().union(*(reads(path.read_text()) for path in (root / "src").rglob("*.py")))
    missing = {section: fields for section, kind in settings_of_recipes() if (fields := unread(kind, section, known))}
    assert not missing
    assert {("recipe", name) for name in Recipe.model_fields if name != "methods"} <= known


def test_a_field_that_is_only_checked_is_found() -> None:
    source = """
class SearchSettings:
    def __post_init__(self): self.phantom
    def text(self): return self.spoken
def go(recipe, other): recipe.search.graphs, other.phantom, recipe.role.phantom
"""
    kind = dataclasses.make_dataclass("SearchSettings", ["graphs", "phantom", "spoken"])
    assert unread(kind, "search", reads(source)) == ["phantom"]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid(name: str) -> None:
    assert build_recipe({"preset": name}).preset == name


# Every field of both presets. Of the paper (NeurIPS 2025, arXiv 2502.04510): algorithm or place -> field -> value.
BOTH: dict[str, dict[str, object]] = {
    "decode": {"out_edges": 1},  # Algorithm 4
    "prompts": {"layout": "paper", "style": "place", "instruction": "", "icl": "", "thinking": False},  # Table 9
    "search": {  # Algorithms 2 and 3, section 3
        "method": "hswarm",
        "graphs": 10,
        "assignments": 10,
        "patience": 6,
        "draw": "independent",
        "first_graphs": "random",
        "steps": ("role", "weight"),
        "weight_after": 0,
        "nodes": None,
        "threshold": None,  # sparsity and dropout are studies
        "l1": 0.0,
        "dropout_role": 0.0,
        "dropout_weight": 0.0,
        "drop_k": 0.0,
        "drop_n": 0.0,
    },
    "swarm": {  # Algorithm 1; the coefficients lie on the paper's grid and are those of the code's starter script
        "inertia": 0.2,
        "cognitive": 0.3,
        "social": 0.4,
        "repel": 0.05,
        "step_length": 0.8,
        "step_factor": 1.0,
        "coefficients_random": True,
        "bounds": "none",
        "patience": 6,
    },
}
PAPER: dict[str, dict[str, object]] = {
    "decode": {"top_p": 0.8, "edges": "independent"},
    "search": {"iterations": 20, "weight_topology": "best"},
    "swarm": {"velocity": "zero", "restart": False},
}
REFERENCE: dict[str, dict[str, object]] = {
    "decode": {"top_p": 0.0, "edges": "one"},
    "search": {"iterations": 200, "weight_topology": "iteration"},
    "swarm": {"velocity": "random", "restart": True, "restart_patience": 0.67},
}
GRID = {  # the hyper-parameters are drawn from these
    "inertia": (0.1, 0.2, 0.3),
    "cognitive": (0.1, 0.2, 0.3, 0.4, 0.5),
    "social": (0.2, 0.3, 0.4, 0.5, 0.6),
    "repel": (0.01, 0.05, 0.1),
    "step_length": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
}
FREE = {  # no source speaks of them: wording, what changes no result, what a constant step or no restart leaves unread
    *("general", "previous", "last", "first", "middle", "sink"),
    *("reuse", "cache", "keep_calls", "start", "start_on_test", "clean_up"),
    *("min_step_length", "restart_patience", "bound"),
}


@pytest.mark.parametrize(("name", "own"), [("paper", PAPER), ("reference", REFERENCE)])
def test_a_preset_is_what_its_source_says(name: str, own: dict[str, dict[str, object]]) -> None:
    recipe = build_recipe({"preset": name})
    sections: dict[str, DataclassInstance] = {
        "decode": recipe.decode,
        "prompts": recipe.prompts,
        "search": recipe.search,
        "swarm": recipe.role,
    }
    for section, kept in sections.items():
        said = BOTH[section] | own.get(section, {})
        values = {field.name: getattr(kept, field.name) for field in dataclasses.fields(kept)}
        assert {field: values[field] for field in said} == said
        assert values.keys() - said.keys() <= FREE
    assert recipe.role == recipe.weight


def test_the_swarms_of_preset_paper_lie_on_its_grid() -> None:
    recipe = build_recipe({"preset": "paper"})
    for swarm in (recipe.role, recipe.weight):
        assert all(getattr(swarm, field) in values for field, values in GRID.items())
    space = {p.fields[0].removeprefix("role."): p.choices for p in read_space(SPACES["paper"])}
    assert space == GRID


def test_a_recipe_written_out_keeps_its_values_when_a_preset_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    old = tomllib.loads(build_recipe({"preset": "paper"}).to_toml())
    del old["decode"]["edges"], old["prompts"]["style"]  # fields that a later release added to the preset
    recipe = build_recipe(old)
    assert (recipe.preset, recipe.decode.edges, recipe.prompts.style) == ("paper", "one", "terse")
    assert recipe.decode.top_p == 0.8
