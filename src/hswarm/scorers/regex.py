"""An answer marked as a pattern says: what its last match holds is compared as `exact` compares."""

from __future__ import annotations

from collections.abc import Sequence

from hswarm.errors import TaskError
from hswarm.patterns import compiled, last_match
from hswarm.scorers.base import Score, accepted, scorer
from hswarm.scorers.equality import same
from hswarm.tasks.task import Example


@scorer("regex", "The last match of a pattern, compared as by exact")
def regex(examples: Sequence[Example], responses: Sequence[str], *, pattern: str) -> list[Score]:
    r"""1 where the first group (or all) of the last match of `pattern` equals the answer. E.g. `ANSWER: (\w+)`."""
    try:
        compiled(pattern)
    except ValueError as fault:
        raise TaskError(f"task.scorer_options.pattern: {fault}") from fault
    scores = []
    for example, response in zip(examples, responses, strict=True):
        found = last_match(pattern, response)
        right = found is not None and any(same(found, answer) for answer in accepted(example))
        scores.append(Score(float(right), found is not None, found or ""))
    return scores
