"""Shared by all tests: no hub, and small recipes on the toy engine."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
# what the tests' own recipes ask for; tests of refusals take it away
os.environ["HSWARM_ALLOW"] = (
    "http://127.0.0.1=HSWARM_TEST_KEY http://localhost code my_scorers:shout my_scorers:whisper nowhere:shout "
    "tests.runs.timed:Timed tests.engines.crew_parts:Pinned tests.tools.parts:zor tests.tools.parts:slow "
    "tests.tools.parts:number"
)

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import settings

from hswarm.config.recipe import Recipe, build_recipe
from hswarm.runs.progress import Progress

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    class WatchedPage(Page):
        """A page that notes its errors and warnings, and the hosts that it asks."""

        faults: list[str]
        addresses: set[str]


settings.register_profile("hswarm", deadline=None)  # machines are busy
settings.load_profile("hswarm")

pytest_plugins = ["tests.faults.breaking"]

ROOT = Path(__file__).parent.parent


def toy_content(**search: Any) -> dict[str, Any]:
    """The content of a small toy recipe; keywords change `[search]`."""
    settings = {"method": "hswarm", "nodes": 3, "graphs": 4, "assignments": 4, "iterations": 4, "patience": 4} | search
    return {
        "name": "small",
        "task": {"name": "toy", "dev": 20, "test": 30, "options": {"toy": {"steps": settings["nodes"]}}},
        "engine": {"name": "toy"},
        "search": settings,
    }


@pytest.fixture
def toy_recipe() -> Recipe:
    return build_recipe(toy_content())


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real headless Chromium; not for longer: as long as its loop runs here, no test can start one of its own."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no Chromium here (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[WatchedPage]:
    """A page of which a test says what errors and hosts may be there."""
    opened = cast("WatchedPage", browser.new_page())
    opened.faults, opened.addresses = [], set()
    opened.on(
        "console", lambda message: opened.faults.append(message.text) if message.type in ("error", "warning") else None
    )
    opened.on("pageerror", lambda fault: opened.faults.append(str(fault)))
    opened.on("request", lambda request: opened.addresses.add(request.url.split("/")[2]))
    yield opened
    opened.close()


class Interrupt(Progress):
    """Breaks off after a number of answered batches, as Ctrl-C would."""

    def __init__(self, after: int) -> None:
        self.after = after

    def advance(self, calls: int) -> None:
        self.after -= 1
        if not self.after:
            raise KeyboardInterrupt
