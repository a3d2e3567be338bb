"""An answer marked as a pattern says: what its last match holds is compared as `exact` compares."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hswarm.errors import TaskError
from hswarm.scorers.base import Score, accepted, scorer
from hswarm.scorers.equality import same
from hswarm.tasks.task import Example


@scorer("regex", "The last match of a pattern, compared as by exact")
def regex(examples: Sequence[Example], responses: Sequence[str], *, pattern: str) -> list[Score]:
    r"""1 where the first group (or all) of the last match of `pattern` equals the answer. E.g. `ANSWER: (\w+)`."""
    try:
        compiled = re.compile(pattern)
    except re.error as fault:
        raise TaskError(f"task.scorer_options.pattern {pattern!r} is no regular expression: {fault}") from fault
    scores = []
    for example, response in zip(examples, responses, strict=True):
        found = last_match(compiled, response)
        right = found is not None and any(same(found, answer) for answer in accepted(example))
        scores.append(Score(float(right), found is not None, found or ""))
    return scores


def last_match(pattern: re.Pattern[str], text: str) -> str | None:
    """The first group (or all) of the last match of `pattern` in `text`; None if there is none."""
    matches = list(pattern.finditer(text))
    return (matches[-1][1 if pattern.groups else 0] or "").strip() if matches else None
