"""The page in a real browser: it works by keyboard, on a phone, in the dark; fetches nothing from elsewhere; no errors."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from hswarm.bundle.export import export_bundle
from hswarm.bundle.package import open_source
from hswarm.config.recipe import Recipe
from hswarm.core.topology import Topology
from hswarm.experiments.search import search
from hswarm.system.system import System
from tests.known import known
from tests.server.serving import ANSWER, ORDER, QUESTION, Gate, serving, toy_system

Scheme = Literal["light", "dark"]

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.conftest import WatchedPage


def ask(page: Page, question: str) -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")
    page.wait_for_selector("#ask:enabled")


def test_a_question_is_answered_node_by_node_and_compared(page: WatchedPage, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("[data-node]")
    ask(page, QUESTION)
    assert page.inner_text("#system-answer .answer") == ANSWER
    assert page.inner_text("#single-answer .answer") == f"done {ORDER[0]}"
    assert "tokens read" in page.inner_text("#system-answer .cost")
    assert page.inner_text("#status") == "4 nodes, 4 experts"
    assert [state.inner_text() for state in page.query_selector_all("#nodes .state")] == ["done"] * 4
    assert len(page.query_selector_all("#graph .node.done")) == 4
    assert len(page.query_selector_all("#graph .edge.said")) == 3
    page.click("[data-node='3']")
    assert page.inner_text("#node-3 .response") == ANSWER
    assert f"- {ANSWER.rsplit(' ', 1)[0]}" in page.inner_text("#node-3 .prompt")
    assert page.faults == []
    assert page.addresses == {address.removeprefix("http://")}


def test_messages_travel_along_the_edges(page: WatchedPage, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("[data-node]")
    seen = page.evaluate(
        """(question) => new Promise((done) => {
        const paths = [];
        new MutationObserver((changes) => {
            for (const change of changes) for (const node of change.addedNodes) {
                if (node.classList?.contains("message")) paths.push(node.firstChild.getAttribute("path"));
            }
            if (paths.length === 3) done(paths);
        }).observe(document.querySelector("#graph svg"), { childList: true });
        document.querySelector("#question").value = question;
        document.querySelector("#ask-form").requestSubmit();
    })""",
        QUESTION,
    )
    edges = page.evaluate(
        "[...document.querySelectorAll('.edge path:first-child')].map((edge) => edge.getAttribute('d'))"
    )
    assert seen == edges
    page.wait_for_selector(".message", state="detached")


def test_by_keyboard_alone(page: WatchedPage, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("[data-node]")
    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.type(QUESTION)
    page.keyboard.press("Shift+Enter")
    assert page.input_value("#question") == QUESTION + "\n"
    page.keyboard.press("Enter")
    page.wait_for_selector("#ask:enabled")
    assert page.inner_text("#system-answer .answer") == ANSWER
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.closest('li, details')?.id"))
    assert reached[:5] == ["ask", "compare", "sampling", "copy", "share"]
    page.focus("#node-2 summary")
    page.keyboard.press("Enter")
    assert page.is_visible("#node-2 .prompt")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_width_and_both_schemes(browser: Browser, address: str, scheme: Scheme, tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 375, "height": 740}, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("[data-node]")
    ask(page, QUESTION)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    ground, ink = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    dark = [sum(map(int, colour[4:-1].split(","))) < 384 for colour in (ground, ink)]
    assert dark == ([False, True] if scheme == "light" else [True, False])
    page.screenshot(path=os.environ.get("SCREENSHOTS", str(tmp_path)) + f"/phone-{scheme}.png", full_page=True)
    context.close()


def test_a_fault_is_said_and_a_running_answer_can_be_stopped(
    page: WatchedPage, systems: dict[str, System], gate: Gate
) -> None:
    with serving(systems, gate) as address:
        page.goto(address)
        page.wait_for_selector("[data-node]")
        page.fill("#question", QUESTION)
        page.keyboard.press("Enter")
        page.wait_for_selector("#graph .node.started")
        page.keyboard.press("Escape")
        page.wait_for_selector("#ask:enabled")
        assert page.inner_text("#fault") == "Stopped."
        gate.open.set()
        ask(page, "no toy question")
        assert "gave no reply" in page.inner_text("#fault")
        assert len(page.query_selector_all("#graph .node.failed")) == 1
        ask(page, QUESTION)
        assert page.is_hidden("#fault")
        assert page.inner_text("#system-answer .answer") == ANSWER
        assert page.faults == []


def test_a_key_is_asked_for_and_kept(page: WatchedPage, systems: dict[str, System]) -> None:
    with serving(systems, key="secret") as address:
        page.goto(address)
        page.wait_for_selector("#key")
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#fault:not([hidden])")
        page.fill("#key", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector("[data-node]")
        ask(page, QUESTION)
        assert page.inner_text("#system-answer .answer") == ANSWER


def test_what_a_bundle_s_system_is_for_and_questions_to_try(
    page: WatchedPage, toy_recipe: Recipe, tmp_path: Path
) -> None:
    from hswarm.server.about import about

    run = search(toy_recipe, tmp_path / "run")
    export_bundle(open_source(run.path), tmp_path / "bundle")
    test, single = known(run.report.test), known(run.report.best_single.test)
    shutil.rmtree(run.path)
    source = open_source(tmp_path / "bundle")
    first = source.questions[0]
    with serving({"small": source.system}, told=about(source)) as address:
        page.goto(address)
        page.wait_for_selector("#examples button")
        purpose = page.inner_text("#purpose")
        assert purpose.startswith("Found for the task “toy”: Steps in a planted order")
        assert f"On 30 questions that the search never saw it scores {test.score:.2f} (95 % interval" in purpose
        assert f"the best single expert scores {single.score:.2f}" in purpose
        page.click("#examples button")
        page.wait_for_selector("#ask:enabled")
        assert page.inner_text("#system-answer .answer") == source.system.respond([first.question])[0]
        assert page.inner_text("#told") == f"The task's own answer: {first.answer}"
        assert page.faults == []


def test_names_times_history_sampling_and_the_trace(page: WatchedPage, address: str, tmp_path: Path) -> None:
    page.goto(address + "/#q=" + QUESTION.replace(" ", "%20"))
    page.wait_for_selector("[data-node]")
    assert page.input_value("#question") == QUESTION
    assert page.inner_text("#node-1 .title").endswith(f"step-{ORDER[1]}, reads step-{ORDER[0]}")
    page.click("#sampling summary")
    page.fill("[name=seed]", "7")
    page.fill("[name=max_tokens]", "64")
    ask(page, QUESTION)
    assert "tokens read" in page.inner_text("#node-2 .spent")
    assert page.is_visible("#node-2 .bar")
    with page.expect_download() as started:
        page.click("#download")
    trace = json.loads(Path(started.value.path()).read_text())
    assert (trace["answer"], trace["seed"], trace["max_tokens"]) == (ANSWER, 7, 64)
    times = [event["at"] for event in trace["events"]]
    assert times == sorted(times)
    assert [event["event"] for event in trace["events"]] == ["started", "done"] * 4
    page.click("#history summary")
    assert ANSWER in page.inner_text("#history ol")
    page.reload()
    page.wait_for_selector("#history:not([hidden])")
    assert page.faults == []


def test_the_graph_by_keyboard_and_for_a_screen_reader(page: WatchedPage, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("[data-node]")
    ask(page, QUESTION)
    node = page.locator("[data-node='2']")
    assert node.get_attribute("role") == "button"
    assert node.get_attribute("aria-label") == f"step-{ORDER[2]}, reads step-{ORDER[1]}: done"
    read = page.locator("#graph").aria_snapshot()
    assert f'button "step-{ORDER[2]}, reads step-{ORDER[1]}: done"' in read
    assert f"{ORDER[0]} to 2 step-{ORDER[1]}" in read
    node.focus()
    page.keyboard.press("Enter")
    assert page.is_visible("#node-2 .prompt")
    assert page.get_attribute("#system-answer", "aria-busy") is None


def test_control_characters_in_names_are_shown_as_such(page: WatchedPage) -> None:
    system = toy_system(Topology.chain(1), ORDER[:1])
    odd = replace(system, nodes=(replace(system.experts[0], name="a\x00\x1b[31m\u202eb<i>"),))
    with serving({"toy": odd}) as address:
        page.goto(address)
        page.wait_for_selector("[data-node]")
        assert "a\ufffd\ufffd[31m\ufffdb<i>" in page.inner_text("#node-0 .title")
        assert page.faults == []


def test_a_wide_graph_says_so_on_a_phone(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 375, "height": 740})
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("[data-node]")
    wide = page.evaluate("document.querySelector('#graph').scrollWidth > document.querySelector('#graph').clientWidth")
    assert page.is_visible("#wider") == wide
    context.close()


def test_nothing_is_cut_on_a_phone_but_the_drawing_with_its_cue(browser: Browser, systems: dict[str, System]) -> None:
    name = "an expert with a very long name that no box of a drawing can hold"
    long = replace(systems["toy"], nodes=tuple(one.renamed(name) for one in systems["toy"].experts))
    with serving({"toy": long, "toy:best-single": systems["toy:best-single"]}) as address:
        context = browser.new_context(viewport={"width": 375, "height": 740})
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("[data-node]")
        ask(page, QUESTION + "\n" + "word " * 400)
        for item in page.query_selector_all("#nodes summary"):
            item.click()
        cut = page.evaluate(
            """[...document.querySelectorAll("body *")].filter((one) => getComputedStyle(one).overflow !== "visible"
            && (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1))
            .map((one) => one.id || one.className || one.tagName)"""
        )
        assert set(cut) <= {"graph", "question"}  # a cue stands above the one, the other scrolls as its writer does
        assert page.is_visible("#wider")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        context.close()
