"""Recipes: all faults at once with near names, layers in order, and nothing that no code reads."""

import ast
import dataclasses

import pytest

from hswarm.config.recipe import PRESETS, Recipe, build_recipe, read_recipe
from hswarm.errors import ConfigError
from hswarm.experts.remote import RemoteSettings
from hswarm.training.data import Domain
from hswarm.training.train import TrainSettings


def test_all_faults_at_once_with_near_names(tmp_path):
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
        "iterations must be at least 1",
        "engine.dtype",
        "role.inertia",
        "unknown key 'nonsense'",
    ):
        assert part in text


@pytest.mark.parametrize("text", ["= 3", "[search\n", "\xff\x00", "a" * 10])
def test_not_toml(tmp_path, text):
    (tmp_path / "r.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        read_recipe(tmp_path / "r.toml")


def test_no_recipe(tmp_path):
    with pytest.raises(ConfigError, match="no recipe at"):
        read_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["demo", "toy", "paper"])
def test_recipes_are_read_and_written_back(tmp_path, root, name):
    recipe = read_recipe(root / f"recipes/{name}.toml")
    (tmp_path / "again.toml").write_text(recipe.to_toml())
    assert read_recipe(tmp_path / "again.toml") == recipe


def test_layers_default_preset_file_command_line(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("preset = 'paper'\n[search]\ngraphs = 3\n")
    recipe = read_recipe(path)
    assert (recipe.search.graphs, recipe.decode.top_p, recipe.prompts.layout) == (3, 0.8, "paper")
    assert read_recipe(path, ["search.graphs=4"]).search.graphs == 4
    assert read_recipe(path, preset="reference").search.graphs == 10
    assert read_recipe(path, ["search.graphs=2"], "reference").search.graphs == 2


def test_a_fault_says_once_what_came():
    with pytest.raises(ConfigError) as caught:
        build_recipe({"task": {"dev": 0}, "seed": -1})
    assert sorted(caught.value.faults) == [
        "seed: input should be greater than or equal to 0, got -1",
        "task: dev must be at least 1, got 0",
    ]


def test_an_override_without_equals(tmp_path):
    (tmp_path / "r.toml").write_text("")
    with pytest.raises(ConfigError, match=r"section\.field=value"):
        read_recipe(tmp_path / "r.toml", ["no-equals"])


def test_relative_folders_count_from_the_recipe(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/r.toml").write_text("[pool]\npath = '../pool'\nbase = '../base'\n[task]\npath = 'data.json'\n")
    recipe = read_recipe(tmp_path / "sub/r.toml")
    assert (recipe.pool.path, recipe.pool.base) == (str(tmp_path / "pool"), str(tmp_path / "base"))
    assert recipe.task.path == str(tmp_path / "sub/data.json")


def reads(source):
    """(owner, attribute) of what `source` reads: "a.b" of x.a.b; in a class's own methods its name stands for self.

    A class that checks its own values (self.x in __post_init__) does not read them.
    """
    found = set()

    def walk(node, own, checking):
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


def unread(kind, section, known):
    """Fields of the settings `kind`, in `section` of a recipe, that nothing in `known` reads."""
    owners = {"settings", "recipe", section, kind.__name__}
    return [field.name for field in dataclasses.fields(kind) if not {(owner, field.name) for owner in owners} & known]


def settings_of_recipes():
    """(section, settings) of everything that a recipe of a search or of a training may hold."""
    for section, field in Recipe.model_fields.items():
        if dataclasses.is_dataclass(field.annotation):
            yield section, field.annotation
    yield from (("remote", RemoteSettings), ("settings", TrainSettings), ("domain", Domain))


def test_every_field_is_read_by_some_code(root):
    known = set().union(*(reads(path.read_text()) for path in (root / "src").rglob("*.py")))
    missing = {section: fields for section, kind in settings_of_recipes() if (fields := unread(kind, section, known))}
    assert not missing
    assert {("recipe", name) for name in Recipe.model_fields if name != "methods"} <= known


def test_a_field_that_is_only_checked_is_found():
    source = """
class SearchSettings:
    def __post_init__(self): self.phantom
    def text(self): return self.spoken
def go(recipe, other): recipe.search.graphs, other.phantom, recipe.role.phantom
"""
    kind = dataclasses.make_dataclass("SearchSettings", ["graphs", "phantom", "spoken"])
    assert unread(kind, "search", reads(source)) == ["phantom"]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid(name):
    assert build_recipe({"preset": name}).preset == name


def test_the_paper_s_preset_is_the_paper_s_text() -> None:
    """arXiv 2502.04510: algorithms 1, 3 and 4, and the settings of its experiments."""
    recipe = build_recipe({"preset": "paper"})
    search = recipe.search
    assert (search.graphs, search.assignments, search.iterations, search.patience) == (10, 10, 20, 6)
    assert (search.draw, search.weight_topology, search.steps) == ("independent", "best", ("role", "weight"))
    assert (recipe.decode.top_p, recipe.decode.edges) == (0.8, "independent")
    for swarm in (recipe.role, recipe.weight):
        assert (swarm.velocity, swarm.step_factor, swarm.coefficients_random) == ("zero", 1.0, True)
        assert swarm.inertia in (0.1, 0.2, 0.3)
        assert 0.1 <= swarm.cognitive <= 0.5
        assert 0.2 <= swarm.social <= 0.6
        assert swarm.repel in (0.01, 0.05, 0.1)
        assert 0.5 <= swarm.step_length <= 1.0


def test_the_reference_preset_is_what_the_code_does() -> None:
    recipe = build_recipe({"preset": "reference"})
    assert (recipe.decode.top_p, recipe.decode.edges, recipe.decode.out_edges) == (0.0, "one", 1)
    assert (recipe.search.iterations, recipe.search.weight_topology) == (200, "iteration")
    assert {recipe.role.velocity, recipe.weight.velocity} == {"random"}
