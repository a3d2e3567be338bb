"""Shared by all tests: no hub, and small recipes on the toy engine."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from pathlib import Path

import pytest
from hypothesis import settings

from hswarm.config import Recipe, build_recipe

settings.register_profile("hswarm", deadline=None)  # machines are busy
settings.load_profile("hswarm")

pytest_plugins = ["breaking"]  # tests/faults

ROOT = Path(__file__).parent.parent


def toy_content(**search):
    """The content of a small toy recipe; keywords change `[search]`."""
    settings = {"nodes": 3, "graphs": 4, "assignments": 4, "iterations": 4, "patience": 4} | search
    return {
        "name": "small",
        "task": {"name": "toy", "dev": 20, "test": 30, "options": {"toy": {"steps": settings["nodes"]}}},
        "engine": {"name": "toy"},
        "search": settings,
    }


@pytest.fixture
def toy_recipe() -> Recipe:
    return build_recipe(toy_content())


@pytest.fixture
def root() -> Path:
    """The project's folder."""
    return ROOT
