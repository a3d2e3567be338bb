"""Fixtures of the server's tests."""

from collections.abc import Iterator

import pytest

from hswarm.core.topology import Topology
from hswarm.system.system import System
from tests.server.serving import ORDER, Gate, serving, toy_system


@pytest.fixture(scope="module")
def systems() -> dict[str, System]:
    """The chain that solves every toy question, and its first expert alone, which solves one step."""
    return {"toy": toy_system(Topology.chain(4), ORDER), "toy:best-single": toy_system(Topology.chain(1), ORDER[:1])}


@pytest.fixture(scope="module")
def address(systems: dict[str, System]) -> Iterator[str]:
    with serving(systems) as found:
        yield found


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.set()
