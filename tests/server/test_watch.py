"""A search watched in a real browser: while it goes on in another process, and when it is finished."""

import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hswarm.config.recipe import build_recipe
from hswarm.errors import UserError
from hswarm.runs.answers import read_answers
from hswarm.runs.directory import Run
from tests.conftest import ROOT

pytest.importorskip("uvicorn")
from hswarm.server.watch import watching

pytestmark = pytest.mark.model

RECIPE = {
    "name": "watched",
    "pool": {
        "path": str(ROOT / "experts/micro/pool"),
        "base": str(ROOT / "experts/micro/base"),
        "experts": ["tav", "wex", "zor"],
        "space": "delta",
    },
    "engine": {"dtype": "float32"},
    "task": {"name": "micro", "datasets": ["tav+wex+zor"], "dev": 12, "test": 8, "max_new_tokens": 14},
    "budget": {"calls": 500},
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, "subprocess.Popen[str]"]]:
    """(the run, the page's address, the process) of `hswarm search --watch`."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "recipe.toml").write_text(build_recipe(RECIPE).to_toml())
    words = ["search", folder / "recipe.toml", "--run", folder / "run", "--watch", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hswarm.cli.main", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    said = process.stderr.readline()
    found = re.search(r"watch it at (http://127\.0\.0\.1:\d+/)", said)
    assert found, said + process.stderr.read()
    yield folder / "run", found[1], process
    process.kill()


def test_a_search_is_watched_while_it_goes_on(page: Any, searched: Any) -> None:
    run, address, process = searched
    page.goto(address)
    assert page.inner_text("h1").split()[0] in ("Not", "watched")
    page.wait_for_selector(".state.running", timeout=120_000)
    page.wait_for_selector("#graph .graph .node", timeout=120_000)  # the page loads itself again
    assert page.is_visible("#curves svg")
    page.goto(f"{address}questions")
    links = page.locator("main a")
    assert links.count() == 1 + 12
    links.nth(1).click()
    page.wait_for_selector("h3:has-text('Node 1')", timeout=120_000)
    assert process.poll() is None or run.joinpath("report.json").is_file()
    assert page.faults == []
    assert page.addresses == {address.split("/")[2]}


@pytest.mark.slow
def test_watching_changes_nothing_and_the_terminal_stays_as_it_is(searched: Any, tmp_path: Path) -> None:
    run, _, process = searched
    said, told = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "watch it at" not in said
    assert "iteration 1: experts alone" in told
    again = subprocess.run(
        [
            sys.executable,
            "-m",
            "hswarm.cli.main",
            "search",
            str(run.parent / "recipe.toml"),
            "--run",
            str(tmp_path / "run"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert (run / "history.jsonl").read_bytes() == (tmp_path / "run/history.jsonl").read_bytes()
    assert said.splitlines()[:8] == again.stdout.splitlines()[:8]


def test_a_finished_run_and_the_messages_of_its_questions(page: Any, searched: Any) -> None:
    run, _, process = searched
    process.communicate(timeout=300)
    with watching(run, 0) as address:
        page.goto(address)
        assert page.inner_text(".state") == "finished"
        assert not page.query_selector("meta[http-equiv=refresh]")
        page.click("summary:has-text('Every iteration')")
        assert page.locator("#curves table tr").count() == 1 + len(Run.open(run).history())
        page.click("text=Messages of a question")
        page.click("main a >> nth=3")
        third = read_answers(Run.open(run))[2]  # type: ignore[index]
        assert page.locator("pre").nth(0).inner_text() == third.question
        shown = page.locator("pre").all_inner_texts()[2:]
        assert sorted(shown) == sorted(third.replies)
        page.click("text=Next")
        assert page.inner_text("h1") == "Question 4 of 12"
        assert page.faults == []


def status(address: str, **headers: str) -> int:
    request = urllib.request.Request(address, headers={key.replace("_", "-"): value for key, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as fault:
        return fault.code


def test_the_page_answers_to_this_machine_alone_and_takes_no_orders(searched: Any) -> None:
    run, _, process = searched
    process.communicate(timeout=300)
    with watching(run, 0) as address:
        assert status(address) == 200
        assert status(address, Host="evil.example") == 403
        assert status(f"{address}questions/99") == 200
        assert status(f"{address}questions/../../etc/passwd") == 404
        request = urllib.request.Request(address, data=b"x", headers={"Sec-Fetch-Site": "cross-site"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=10)
        port = int(address.rstrip("/").rpartition(":")[2])
        with pytest.raises(UserError, match="cannot listen"), watching(run, port):
            pass


def test_a_run_that_has_not_begun_is_waited_for(tmp_path: Path, searched: Any) -> None:
    run, _, process = searched
    process.communicate(timeout=300)
    with watching(tmp_path / "later", 0) as address:
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert "Not begun" in answer.read().decode()
        run_copy = tmp_path / "copy"
        subprocess.run(["cp", "-r", str(run), str(run_copy)], check=True)
        run_copy.rename(tmp_path / "later")
        (tmp_path / "later/best/system.json").write_text("{")
        time.sleep(0.1)
        with urllib.request.urlopen(f"{address}questions/1", timeout=30) as answer:
            assert "Not to be read at the moment" in answer.read().decode()
