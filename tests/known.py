"""What a test knows to be there."""

from typing import TypeVar

from hswarm.experts.adapter import Adapter
from hswarm.experts.expert import Node

T = TypeVar("T")


def known(value: T | None) -> T:
    """`value`, which is not None here."""
    assert value is not None
    return value


def adapter(node: Node) -> Adapter:
    """`node`, which is an adapter here."""
    assert isinstance(node, Adapter)
    return node
