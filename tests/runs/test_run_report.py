"""The report: every form of it, of finished and unfinished runs; hostile text stays text; a real browser shows it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from pydantic import JsonValue

from hswarm import io
from hswarm.cli.main import main
from hswarm.config.recipe import build_recipe
from hswarm.engines.base import Completion, Request
from hswarm.engines.toy import ToyEngine
from hswarm.errors import RunError
from hswarm.experiments.compare import compare
from hswarm.experiments.search import search
from hswarm.report.glossary import TERMS
from hswarm.report.render import html_page, markdown_page
from hswarm.report.summary import gather, warnings
from hswarm.report.table import tabulate
from hswarm.runs.answers import only_together, read_answers
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from hswarm.runs.schema import Answer, spoken_step
from hswarm.tasks.toy import generate
from tests.conftest import toy_content
from tests.known import known
from tests.known import score as score_of
from tests.runs.reports import report, score

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = [
    "<script>document.title = 'taken'</script>",
    "</pre><img src=http://example.org/x onerror=alert(1)>",
    '"><svg onload=alert(2)>',
    "```\n# a heading\n<b>bold</b> | cell | [link](javascript:alert(3)) \x00\x1b[31m \ud800",
    "{{ 7 * 7 }} {% raw %} &lt;i&gt; \u202egnihtemos",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return search(build_recipe(toy_content()), tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture
def hostile(run: Run, tmp_path: Path) -> Run:
    """The run as it would be if everybody, questions and experts, were hostile."""
    path = tmp_path / "hostile"
    subprocess.run(["cp", "-r", str(run.path), str(path)], check=True)
    answers = answers_of(run)
    won, _ = only_together(answers)
    for line, text in zip(won, HOSTILE, strict=False):
        line.question, line.answer, line.choices = text + line.question, text, {text: text}
        line.replies = [text for _ in line.replies]
        line.alone = {text + name: score for name, score in line.alone.items()}
    (path / "answers.jsonl").write_text("".join(json.dumps(line.content()) + "\n" for line in answers))
    report = json.loads((path / "report.json").read_text())
    report["topology"]["assignment"] = HOSTILE[:3]
    report["task"] = HOSTILE[0]
    (path / "report.json").write_text(json.dumps(report))
    return Run.open(path)


def answers_of(run: Run) -> list[Answer]:
    return known(read_answers(run))


def test_answers_are_those_that_were_scored(run: Run) -> None:
    answers = answers_of(run)
    assert sum(known(line.score) for line in answers) / len(answers) == pytest.approx(run.report.dev.score)
    for name, utility in run.report.singles.items():
        assert sum(known(line.alone[name]) for line in answers) / len(answers) == pytest.approx(utility)
    sink = run.best.topology.sink
    assert all((line.replies[sink] == line.answer) == line.score for line in answers)
    assert run.best.respond([line.question for line in answers]) == [line.replies[sink] for line in answers]


def test_the_page_says_what_the_run_holds(run: Run) -> None:
    page = html_page(gather(run))
    report, history = run.report, run.history()
    for summary in (report.dev, report.test, report.best_single.test):
        low, high = known(known(summary).ci)
        assert f"{score_of(summary):.3f} [{low:.3f}, {high:.3f}]" in page
    for expert, jfk in history[int(report.found_at.split("/")[0])].weight.jfk.items():
        assert f"<td>{jfk:.3f}</td>" in page
        assert expert in page
    assert f"{report.calls.generated:,} generated" in page
    won, _ = only_together(answers_of(run))
    assert f"on {len(won)} of 20 questions" in page
    failed = sum(known(line.score) < 0.5 for line in answers_of(run))
    assert page.count("<details") == min(5, len(won)) + min(5, failed) + 3
    assert f"The system fails {failed} of 20 dev questions: in " in page
    for kind in ("score on dev by iteration", "JFK-score by iteration", "4 points in a plane", "3 points in a plane"):
        assert kind in page
    assert "graphs = 4" in page


def test_each_node_s_replies_are_scored_as_if_they_were_the_answer(run: Run) -> None:
    facts, answers = gather(run), answers_of(run)
    for node in facts.nodes:
        replies = [line.replies[node.number - 1] for line in answers]
        right = [reply == line.answer for reply, line in zip(replies, answers, strict=True)]
        assert node.score == pytest.approx(sum(right) / len(right))
        read = [known(facts.nodes[int(other) - 1].score) for other in node.hears.split(", ") if other != "nobody"]
        assert node.adds == (pytest.approx(known(node.score) - max(read)) if read else None)
    assert facts.nodes[run.best.topology.sink].score == pytest.approx(run.report.dev.score)


def test_numbers_that_are_read_count_from_one(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    page = markdown_page(gather(run))
    topology, names = run.best.topology, run.best.assignment
    for u, v in topology.edges:
        assert re.search(rf"Node {u + 1}, {names[u]}, to (\d, )*{v + 1}", page)
    assert [node.number for node in gather(run).nodes] == [1, 2, 3]
    iteration, kind = run.report.found_at.split("/")
    assert f"best system found in iteration {int(iteration) + 1} \\({kind}-step\\)" in page
    assert main(["show", str(run.path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"best system found in iteration {int(iteration) + 1} ({kind}-step)" in shown
    assert all(f"{u + 1}:{names[u]} -> {v + 1}:{names[v]}" in shown for u, v in topology.edges)


def test_whether_a_reply_harms_is_told_or_how_to_ask(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(run.path, path)
    asked = f"not asked yet: whether an expert's reply harms the system (hswarm analyze {path} --only harm)"
    assert gather(Run.open(path)).came_of_it[-1] == asked
    assert main(["analyze", str(path), "--only", "harm"]) == 0
    facts = gather(Run.open(path))
    assert facts.came_of_it[-1] == "no expert's reply harms more than the others'"
    assert "Whom to keep out" not in facts.overview
    assert asked not in html_page(facts)


@pytest.mark.parametrize(
    ("step", "spoken"),
    [
        ("0/role", "iteration 1 (role-step)"),
        ("4/join", "iteration 5 (join)"),
        ("turn 3", "turn 4"),
        ("start", "step 'start'"),
        ("with gul 3", "step 'with gul 3'"),
    ],
)
def test_steps_are_counted_from_one(step: str, spoken: str) -> None:
    assert spoken_step(step) == spoken


def test_failures_are_told_by_what_went_wrong(run: Run, tmp_path: Path) -> None:
    answers = answers_of(run)[:6]
    changes: list[dict[str, Any]] = [
        {"score": 0.0, "read": None},
        {"score": 0.0, "read": None},
        {"score": 0.0, "alone": {"step-0": 1.0}},
        {"score": 0.0, "alone": {"step-0": 0.0}, "scores": [1.0, 0.0, 0.0]},
        {"score": 0.0, "alone": {"step-0": 0.0}, "scores": [0.0, 0.0, 0.0]},
        {"score": 1.0},
    ]
    path = tmp_path / "run"
    shutil.copytree(run.path, path)
    lines = [line.model_copy(update=change).content() | change for line, change in zip(answers, changes, strict=True)]
    (path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    examples = gather(Run.open(path)).examples
    assert examples.about_failed == (
        "The system fails 5 of 6 dev questions: in 2 no answer could be read in the reply; in 1 an expert is right "
        "alone; in 1 a node on the way was right, and it was lost after that; in 1 no node was right."
    )
    assert [example.question for example in examples.failed] == [answers[i].question for i in (0, 2, 3, 4, 1)]
    assert "The system fails 5 of 6" in html_page(gather(Run.open(path)))


def test_scores_by_task(tmp_path: Path) -> None:
    parts = []
    for seed, name in enumerate(("easy", "hard")):
        rows = [{"question": one.question, "answer": one.answer} for one in generate(20, seed)]
        (tmp_path / f"{name}.json").write_text(json.dumps({"dev": rows[:10], "test": rows[10:]}))
        parts.append({"path": str(tmp_path / f"{name}.json"), "scorer": "exact"})
    run = search(build_recipe(toy_content() | {"task": {"parts": parts}}), tmp_path / "run")
    groups = run.report.groups
    assert len(groups) == 2
    test = known(run.report.test)
    assert sum(group.found.n for group in groups.values()) == test.n
    whole = sum(score_of(group.found) * group.found.n for group in groups.values()) / test.n
    assert whole == pytest.approx(score_of(test))
    page = html_page(gather(run))
    assert "<h3>By task</h3>" in page
    assert all(f"<td>{name}</td>" in page for name in groups)


def test_every_term_is_explained_where_it_is_used_first(run: Run) -> None:
    page = html_page(gather(run))
    for term in ("expert", "node", "dev", "test", "JFK-score", "adapter", "role", "seed", "utility"):
        assert page.count(f"<dt>{term}</dt><dd>{TERMS[term]}") == 1, term
    sections = re.split(r"(?=<section|<header)", page)
    first = next(i for i, section in enumerate(sections) if "JFK-score" in re.sub(r"<svg.*?</svg>", "", section))
    assert "<dt>JFK-score</dt>" in sections[first]
    assert f"- **JFK-score**: {TERMS['JFK-score']}" in markdown_page(gather(run))


def test_a_phone_shows_charts_whole_and_a_cue_where_more_is_to_come(browser: Browser, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert main(["report", str(run.path), "--out", str(path)]) == 0
    page = browser.new_page(viewport={"width": 375, "height": 700})
    page.goto(f"file://{path}")
    for chart in page.query_selector_all(".chart"):
        box = known(chart.bounding_box())
        assert box["x"] + box["width"] <= 375
        sizes = chart.evaluate("svg => [...svg.querySelectorAll('text')].map(t => t.getBoundingClientRect().height)")
        assert min(sizes) > 8
    assert page.query_selector_all(".chart rect + text")  # legends
    for wide in page.query_selector_all(".wide"):
        if wide.evaluate("one => one.scrollWidth > one.clientWidth"):
            assert "gradient" in wide.evaluate("one => getComputedStyle(one).backgroundImage")
    page.close()


def test_intervals_hold_their_utilities(run: Run) -> None:
    for entry in run.history():
        for best, interval in ((known(entry.role.highest), entry.role.ci), (known(entry.best.utility), entry.best.ci)):
            low, high = known(interval)
            assert low <= best <= high


def test_nothing_is_fetched(run: Run) -> None:
    page = html_page(gather(run))
    assert not re.search(r"""(src|href)=["']?(?!["']?data:)""", page)
    assert "@import" not in page
    assert "url(" not in page


def test_hostile_text_stays_text(hostile: Run) -> None:
    page = html_page(gather(hostile))
    for tag in ("script", "img", "b>bold", "svg onload"):
        assert f"<{tag}" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    markdown = markdown_page(gather(hostile))
    outside = re.sub(r"^(`{3,})\w*\n.*?\n\1$", "", markdown, flags=re.S | re.M)
    assert "<script" not in outside
    assert "<img" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert "\n# a heading" not in outside
    svg = gather(hostile).drawing
    assert not list(ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}script"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_a_browser_shows_it(
    browser: Browser, hostile: Run, tmp_path: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    path = tmp_path / "report.html"
    assert main(["report", str(hostile.path), "--out", str(path)]) == 0
    context = browser.new_context(viewport={"width": width, "height": 740}, color_scheme=scheme)
    page = context.new_page()
    faults, asked = [], []
    page.on("console", lambda message: faults.append(message.text))
    page.on("dialog", lambda dialog: faults.append("a dialog"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{path}")
    assert page.title() == "small: what was searched and found"
    assert (faults, asked) == ([], [f"file://{path}"])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('script, img, [onerror], [onload]').length") == 0
    assert HOSTILE[0] in page.inner_text("#examples details[open]")
    ground, ink = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    dark = [sum(map(int, colour[4:-1].split(","))) < 384 for colour in (ground, ink)]
    assert dark == ([False, True] if scheme == "light" else [True, False])
    page.focus("#examples details:nth-of-type(2) summary")
    page.keyboard.press("Enter")
    assert page.is_visible("#examples details:nth-of-type(2) pre")
    page.screenshot(path=os.environ.get("SCREENSHOTS", str(tmp_path)) + f"/report-{scheme}-{width}.png", full_page=True)
    context.close()


def test_every_form_by_its_ending(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["a.html", "a.md", "a.svg", "a.mmd"]
    words = [word for name in names for word in ("--out", str(tmp_path / name))]
    assert main(["report", str(run.path), *words]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in names]
    drawing = ET.parse(tmp_path / "a.svg").getroot()
    assert len(drawing.findall(".//*[@data-node]")) == 3
    assert (tmp_path / "a.mmd").read_text().startswith("flowchart LR")
    assert f"| {run.report.topology.assignment[0]} |" in (tmp_path / "a.md").read_text()
    assert main(["report", str(run.path), "--out", str(tmp_path / "a.pdf")]) == 2
    assert "expected the ending .html" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 2


def test_a_comparison_is_shown_if_it_is_of_the_same_task(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "compared"
    recipe = run.recipe
    table = tabulate(compare([recipe], ["best_single", "random_search"], 1, folder, say=lambda text: None))
    with pytest.raises(RunError, match="holds no finished comparison"):
        gather(run, folder)
    (folder / "table.json").write_text(json.dumps(table.content()))
    assert gather(run).table is None
    page = html_page(gather(run, folder))
    assert "random_search" in page
    (other,) = (search(build_recipe(toy_content() | {"task": {"name": "toy", "dev": 20, "test": 10}}), tmp_path / "o"),)
    with pytest.raises(RunError, match="holds no finished comparison"):
        gather(other, folder)


def test_warnings_name_overlap_faults_and_drop() -> None:
    faulty = report(
        overlap=3,
        test_faults={"found": {"unparsed": 2, "cut": 0}, "best_single": {"empty": 4}},
        dev=score(0.9),
        test={"score": 0.5, "n": 200, "ci": [0.4, 0.6]},
    )
    said = " / ".join(warnings(faulty, []))
    assert "3 test questions are in dev too" in said
    assert "of the found system on test: 2 could not be parsed" in said
    assert "of the best single expert on test: 4 were empty" in said
    assert "cut off" not in said
    assert "drops from 0.900 on dev, where it was searched, to 0.500" in said
    assert warnings(report(dev=score(0.6)), []) == []


Place = tuple[str | int, ...]


def places(content: JsonValue, path: Place = ()) -> Iterator[Place]:
    """The path of every value in a JSON document, once for all entries of a list."""
    yield path
    if isinstance(content, dict):
        for key in content:
            yield from places(content[key], (*path, key))
    elif isinstance(content, list) and content:
        yield from places(content[-1], (*path, -1))


def altered(content: Any, path: Place, value: object) -> Any:
    """A copy of `content` with `value` at `path`; None: without it."""
    if not path:
        return value
    copy = content.copy()
    if len(path) == 1 and value is None:
        del copy[path[0]]
    else:
        copy[path[0]] = altered(content[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("name", ["report.json", "history.jsonl", "answers.jsonl", "best/system.json"])
def test_another_version_s_form_is_refused_or_left_out(run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / "old"
    subprocess.run(["cp", "-r", str(run.path), str(path)], check=True)
    if name == "best/system.json":  # read until there is a report
        (path / "report.json").unlink()
    *lines, last = (path / name).read_text().splitlines() if name.endswith("l") else [(path / name).read_text()]
    content, refused, left_out = json.loads(last), 0, 0
    for place, value in zip(places(content), cycle((None, {"made": 1}, ["1"], -1, "x"))):
        (path / name).write_text("\n".join([*lines, json.dumps(altered(content, place, value)), ""]))
        try:
            left_out += "left out" in html_page(gather(Run.open(path)))
        except RunError as fault:
            assert "has another form than this version writes" in str(fault)
            refused += 1
    assert bool(refused) == (name != "answers.jsonl")
    assert bool(left_out) == (name != "best/system.json")


def test_other_forms_are_named_in_report_and_show(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "old"
    subprocess.run(["cp", "-r", str(run.path), str(path)], check=True)
    old = run.report.content() | {"test_faults": {"unparsed": 1, "empty": 0}}
    (path / "report.json").write_text(json.dumps(old))
    (path / "analysis").mkdir()
    (path / "analysis/roles.json").write_text('{"name": "roles", "says": "all"}')
    io.write_tensors(path / "trail/0001.safetensors", {"role": np.zeros((2, 3), np.float32)})
    compared = tmp_path / "small-compare"
    (compared / "recipes").mkdir(parents=True)
    (compared / "recipes/small.toml").write_text("[search]\nswarms = 3\n")
    (compared / "table.json").write_text("{}")
    assert main(["report", str(path)]) == main(["show", str(path)]) == 0
    page, shown = (path / "report.html").read_text(), capsys.readouterr().out
    said = "left out: 'test_faults' of report.json, which has another form than this version writes"
    assert said in " ".join(shown.split())
    assert said.replace("'", "&#39;") in page
    assert f"left out: {path}/analysis/roles.json is not an analysis as this version writes it" in page
    assert f"left out: {path}/trail holds other positions of swarm &#39;role&#39;" in page
    assert f"left out: {compared}/recipes/small.toml is no recipe of this version" in page
    (path / "report.json").write_text(json.dumps(old | {"calls": 3}))
    assert main(["show", str(path)]) == 2
    assert "report.json has another form than this version writes (calls: " in capsys.readouterr().err


class Look(Progress):
    """Makes the page after every iteration, from within the running search."""

    def __init__(self, path: Path) -> None:
        self.path, self.pages = path, list[str]()

    def begin(self, phase: str, calls: int, ahead: int) -> None:
        self.pages.append(html_page(gather(Run.open(self.path)), refresh=5))


def test_a_page_of_a_run_at_every_moment(tmp_path: Path) -> None:
    look = Look(tmp_path / "run")
    search(build_recipe(toy_content()), look.path, look)
    assert "0 of at most 4 iterations" in look.pages[0]
    assert all('class="state running"' in page and 'http-equiv="refresh"' in page for page in look.pages)
    assert "4 of at most 4 iterations" in look.pages[-1]
    assert "test is looked at once, at the end" in look.pages[-1]


def test_follow_writes_until_the_end(tmp_path: Path) -> None:
    path, out = tmp_path / "run", tmp_path / "live.html"
    words = [sys.executable, "-m", "hswarm.cli.main"]
    (tmp_path / "recipe.toml").write_text(build_recipe(toy_content(iterations=60, patience=60)).to_toml())
    searching = subprocess.Popen(
        [*words, "search", str(tmp_path / "recipe.toml"), "--run", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (path / "lock").exists() or not (path / "lock").read_text():
        assert searching.poll() is None
        time.sleep(0.01)
    following = subprocess.Popen([*words, "report", str(path), "--follow", "--out", str(out)])
    while not out.exists():
        assert following.poll() is None
        time.sleep(0.01)
    assert 'http-equiv="refresh"' in out.read_text()
    assert (searching.wait(120), following.wait(60)) == (0, 0)
    page = out.read_text()
    assert 'class="state finished"' in page
    assert 'http-equiv="refresh"' not in page


def test_an_interrupted_run_says_so(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken"
    subprocess.run(["cp", "-r", str(run.path), str(path)], check=True)
    (path / "report.json").unlink()
    assert Run.open(path).state == "interrupted"
    assert main(["report", str(path), "--follow"]) == 0
    assert f"continue with: hswarm resume {path}" in capsys.readouterr().err
    assert "interrupted" in (path / "report.html").read_text()


def test_without_reuse_no_answers_are_kept(tmp_path: Path) -> None:
    run = search(build_recipe(toy_content(reuse=False)), tmp_path / "run")
    assert read_answers(run) is None
    assert "were not kept" in html_page(gather(run))


def test_keeping_answers_asks_the_engine_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, generate = list[Request](), ToyEngine.generate

    def noted(engine: ToyEngine, requests: Sequence[Request]) -> list[Completion]:
        asked.extend(requests)
        return generate(engine, requests)

    monkeypatch.setattr(ToyEngine, "generate", noted)
    run = search(build_recipe(toy_content()), tmp_path / "run")
    assert len(asked) == run.report.calls.generated
    assert len(answers_of(run)) == 20
