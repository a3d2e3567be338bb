"""A bundle as a colleague gets it: it loads, it notices changed bytes, its card is what the hub reads."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

import hswarm
from hswarm.bundle.card import model_card
from hswarm.bundle.export import export_adapter, export_bundle, export_merged
from hswarm.bundle.package import Source, open_source
from hswarm.bundle.prune import smaller_systems
from hswarm.bundle.questions import read_questions
from hswarm.cli.main import main
from hswarm.config.recipe import Recipe, read_recipe
from hswarm.core.topology import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.engines.toy import toy_pool
from hswarm.errors import PoolError, RunError
from hswarm.experts.base import find_base
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.runs.answers import read_answers
from hswarm.runs.directory import Run
from hswarm.system.load import load
from hswarm.system.rules import Vote
from hswarm.system.system import System
from tests.known import known

QUESTION = "toy 0.0: steps 0 1 2; difficulty 0.2 0.2 0.2"


@pytest.fixture
def run(toy_recipe: Recipe, tmp_path: Path) -> Run:
    return hswarm.search(toy_recipe, tmp_path / "run")


def toy_system(topology: Topology, assignment: list[int]) -> System:
    experts = toy_pool(4).experts
    return System(topology, tuple(experts[i] for i in assignment), base="toy", engine=EngineSettings("toy"))


def test_a_bundle_holds_all_and_answers_as_the_run_does(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    assert main(["export", str(run.path), str(bundle)]) == 0
    assert "bundle of small, 3 nodes" in capsys.readouterr().out
    names = {path.name for path in bundle.iterdir()}
    assert names == {
        "system.json",
        "experts",
        "best-single",
        "recipe.toml",
        "report.json",
        "examples.json",
        "README.md",
        "graph.svg",
    } | {"manifest.json"}
    assert load(bundle).respond([QUESTION]) == run.best.respond([QUESTION])
    source = open_source(bundle)
    assert source.report == run.report
    assert [one.question for one in source.questions] == [one.question for one in known(read_answers(run))[:3]]
    assert known(source.single).assignment == [run.report.best_single.expert]
    assert read_recipe(bundle / "recipe.toml") == run.recipe
    again = tmp_path / "again"
    export_bundle(source, again)
    assert (again / "system.json").read_bytes() == (bundle / "system.json").read_bytes()


def test_an_existing_folder_is_refused_and_a_failure_leaves_none(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main(["export", str(run.path), str(tmp_path / "full")]) == 2
    assert "exists; name another folder" in capsys.readouterr().err
    assert main(["export", str(run.path), str(tmp_path / "new"), "--as", "adapter"]) == 2
    assert "as a bundle" in capsys.readouterr().err
    assert not list(tmp_path.glob("new*"))


def test_a_changed_weight_is_noticed(run: Run, tmp_path: Path) -> None:
    export_bundle(open_source(run.path), tmp_path / "bundle")
    (tmp_path / "bundle" / "manifest.json").unlink()  # the system itself knows its experts
    file = next((tmp_path / "bundle" / "experts").rglob("vector.safetensors"))
    vector = load_file(file)["vector"]
    save_file({"vector": np.nextafter(vector, np.float32(2))}, file)
    with pytest.raises(RunError, match="has changed: digest"):
        load(tmp_path / "bundle")


def test_the_card_is_in_the_hubs_format(run: Run, tmp_path: Path) -> None:
    cards = pytest.importorskip("huggingface_hub").ModelCard
    export_bundle(open_source(run.path), tmp_path / "bundle")
    card = cards.load(tmp_path / "bundle" / "README.md")
    assert card.data.library_name == "hswarm"
    (result,) = card.data.eval_results
    assert result.metric_value == round(known(known(run.report.test).score), 4)
    assert result.dataset_name == "toy"
    for text in ("best single expert", "```mermaid", run.best.experts[0].digest[:16], "hswarm.load"):
        assert text in card.text


@pytest.mark.parametrize("name", ["yes", "1e3", "a: b #c", "- x", "\"q'", "naïve 模", "a\nb", "null"])
def test_names_stay_text_in_the_card(run: Run, name: str) -> None:
    source = open_source(run.path)
    card = model_card(replace(source, name=name, report=known(source.report).model_copy(update={"task": name})), {})
    data = yaml.safe_load(card.split("---\n")[1])
    assert data["model-index"][0]["name"] == name
    assert data["model-index"][0]["results"][0]["dataset"]["name"] == name
    assert list(data)[:2] == ["library_name", "pipeline_tag"]


def test_smaller_systems_are_all_that_one_node_less_leads_to() -> None:
    system = toy_system(Topology.of(4, [(0, 2), (1, 2), (2, 3)]), [0, 1, 2, 3])
    found = {(tuple(part.assignment), part.topology.edges) for part in smaller_systems(system)}
    assert found == {
        (("step-3",), frozenset()),
        (("step-0",), frozenset()),
        (("step-1",), frozenset()),
        (("step-0", "step-2", "step-3"), frozenset({(0, 1), (1, 2)})),
        (("step-1", "step-2", "step-3"), frozenset({(0, 1), (1, 2)})),
        (("step-0", "step-1", "step-2"), frozenset({(0, 2), (1, 2)})),
    }
    assert smaller_systems(toy_system(Topology.chain(1), [0])) == []


def test_pruning_leaves_no_vote_without_ballots() -> None:
    """The vote of a star keeps at least one voter, however often a node is taken away."""
    star = toy_system(Topology.star(3), [0, 1, 2])
    system = replace(star, nodes=(*star.nodes[:2], Vote.new()))
    smaller = smaller_systems(system)
    assert {tuple(part.assignment) for part in smaller} == {
        ("step-0",),
        ("step-1",),
        ("step-0", "vote"),
        ("step-1", "vote"),
    }
    (voter,) = [part for part in smaller if part.assignment == ["step-0", "vote"]]
    assert [part.assignment for part in smaller_systems(voter)] == [["step-0"]]


def test_pruning_drops_an_idle_node_and_measures(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The planted answer is the chain 0 -> 1 -> 2; expert 2 asked first, before it, adds nothing."""
    topology = Topology.of(4, [(0, 1), (1, 2), (3, 1)])
    toy_system(topology, [0, 1, 2, 2]).save(run.path / "best")
    assert main(["export", str(run.path), str(tmp_path / "pruned"), "--prune"]) == 0
    assert "pruned from 4 to 3 nodes" in capsys.readouterr().out
    system = load(tmp_path / "pruned")
    assert system.topology == Topology.chain(3)
    pruned = json.loads((tmp_path / "pruned" / "report.json").read_text())["pruned"]
    assert pruned["difference"] == 0
    assert "Pruned from 4 nodes" in (tmp_path / "pruned" / "README.md").read_text()
    assert main(["export", str(tmp_path / "pruned"), str(tmp_path / "more"), "--prune"]) == 2


@pytest.fixture(scope="module")
def starter(request: pytest.FixtureRequest) -> System:
    pool = open_pool(PoolSettings(str(request.config.rootpath / "experts/smollm2"), experts=("sums", "sisters")))
    engine = EngineSettings(dtype="float32")
    return System(Topology.chain(2), pool.experts, base=pool.base, engine=engine, sampling=Sampling(6))


@pytest.mark.model
@pytest.mark.slow
def test_another_base_tokenizer_or_template_is_refused(starter: System, tmp_path: Path) -> None:
    export_bundle(Source("two", starter, None, "", None), tmp_path / "bundle")
    assert load(tmp_path / "bundle").assignment == ["sums", "sisters"]
    other = tmp_path / "base"
    shutil.copytree(find_base(starter.base), other)
    assert load(tmp_path / "bundle", base=str(other)).base == str(other)
    for file, word in (
        ("chat_template.jinja", "chat template"),
        ("tokenizer.json", "tokenizer"),
        ("config.json", "weights"),
    ):
        content = (other / file).read_bytes()
        (other / file).write_bytes(content + b" ")
        with pytest.raises(PoolError, match=f"not the one the system was found with: {word}"):
            load(tmp_path / "bundle", base=str(other))
        (other / file).write_bytes(content)


@pytest.mark.slow
@pytest.mark.model
def test_one_expert_can_leave_as_adapter_or_merged_and_answers_alike(starter: System, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    alone = System(
        Topology.chain(1), starter.experts[:1], starter.prompts, starter.base, starter.engine, starter.sampling
    )
    source = Source("sums", alone, None, "", None)
    export_adapter(source, tmp_path / "adapter")
    export_merged(source, tmp_path / "merged")
    question = "State the final answer to the following arithmetic problem: 17 + 25 ="
    expected = alone.respond([question], open_engine(alone.engine, alone.bases))[0]
    base = find_base(alone.base)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    prompt = alone.prompts.render(hswarm.Example(id="", question=question, answer=""))
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for model in (
        PeftModel.from_pretrained(plain, tmp_path / "adapter"),
        AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32),
    ):
        output = model.generate(**inputs, max_new_tokens=6, do_sample=False)
        assert tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip() == expected


@pytest.mark.parametrize(
    "content",
    [
        [{"question": "q", "answer": "a"}] * 4,
        [{"question": "q" * 2001, "answer": "a"}],
        [{"question": ["q"], "answer": "a"}],
        {"question": "q"},
        None,
    ],
)
def test_questions_to_try_of_another_form_are_refused(
    tmp_path: Path, content: dict[str, Any] | list[dict[str, Any]] | None
) -> None:
    (tmp_path / "examples.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="at most 3 questions"):
        read_questions(tmp_path)
