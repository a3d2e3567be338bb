"""What a test knows to be there."""

from typing import TypeVar

from hswarm.experts.adapter import Adapter
from hswarm.experts.form import AdapterForm
from hswarm.runs.schema import Summary

T = TypeVar("T")


def known(value: T | None) -> T:
    """`value`, which is not None here."""
    assert value is not None
    return value


def of_kind(kind: type[T], value: object) -> T:
    """`value`, which is of this kind here."""
    assert isinstance(value, kind)
    return value


def adapter(node: object) -> Adapter:
    """`node`, which is an adapter here."""
    return of_kind(Adapter, node)


def form(expert: object) -> AdapterForm:
    """The form of an adapter that has one."""
    return known(adapter(expert).form)


def score(summary: Summary | None) -> float:
    """The score of what was scored."""
    return known(known(summary).score)
