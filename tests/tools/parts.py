"""Tools of the tests' own."""

import time

from hswarm.tasks.micro import State


def zor(text: str) -> str:
    """The micro skill "zor" on the last line, where it is what comes next."""
    skills, _, sentence = text.rpartition("\n")[2].partition(" on ")
    if not skills.startswith("zor"):
        raise ValueError("the next skill is not zor")
    return str(State(tuple(skills.split()), tuple(sentence.split())).after())


def slow(text: str) -> str:
    """Takes as many seconds as the text says."""
    time.sleep(float(text))
    return "done"


def number(text: str) -> int:
    """Gives no text."""
    return len(text)
