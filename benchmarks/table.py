"""docs/benchmarks.md from docs/benchmarks/*.json, so that no figure is typed: python benchmarks/table.py [--print]"""

import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from measuring import ROOT

HEAD = """# Benchmarks

Each claim is a file under `benchmarks/`, and its rival is measured in the same run. `make bench` runs the short ones
and prints how to run the long ones. Every run replaces its JSON file under `docs/benchmarks/`, and `python
benchmarks/table.py` makes this page from those files.
"""
MISSED = """## Goals that are missed, or met only in part

- The `openvino` engine should have been 2.5 times as fast as the `transformers` engine. It is about twice as fast,
  because the `transformers` engine itself is faster than plain generate: it sorts prompts by length and computes a
  common beginning once ("transformers engine / plain generate").
- As good as the naive way in a fortieth of its time: so it is on recipes/micro.toml (a three-hundredth; a thirty-fourth
  of MoCo's loop, which makes fewer calls and finds less). On the demo it is a sixteenth on average, with an interval
  from 7 to 74 times over three seeds; on one of them growth never quite gets there. The paper's swarms find a good
  system on the demo, so there is little to be sooner at. On SmolLM2 it is a thirteenth, from 8 to 39 times over two
  seeds, on one of which growth ends 0.02 below; a twenty-seventh of MoCo's loop.
- "A search at least 10 times as fast as the naive way" is the same algorithm on both sides. An earlier figure of 13
  times had the naive way compute in bfloat16, which takes a processor without AVX-512 about five times as long; both
  now compute in what is faster there.
- Options by likelihood (`sampling.choose`) should have taken less time than written answers, at no lower score. By text
  the score is level and so is the time: reading the prompt takes most of it, and the pool's replies are three tokens
  long. By letter the pool's experts do no better than chance: they were never taught letters. So writing stays the
  default.
- Weights of 8 bits (`engine.dtype = "int8"`) should have been 1.5 times as fast as float32 on processors that do not
  multiply in bfloat16. With VNNI they are a third faster, with equal replies ("int8 weights"); with AVX2 and no VNNI
  the speed was level (0.95). So they are for those who ask for them.
- Each prefix once should have made a search on the demo faster too. It computes half of the tokens, but on
  an idle machine takes 0.88 of the processor's time that prefixes shared within a batch take, and 1.08 of it where
  the search is short ("each prefix once", both runs): for a model of two million parameters a step costs more than
  its tokens do.
- Two workers should have waited less than 2 % of the time in a search by growth. They waited half of it, since a wave
  was one batch; with waves divided evenly they wait a fifth ("workers wait"): an eighth at the ends of waves, the rest
  while the search itself works. Nothing of the next wave is begun early: which calls it needs is known only when the
  wave is scored. One worker waits about 5 % of its time. A judge behind an API no longer waits for a wave's last answer
  ("a judge rates answers while others are given").
- A search's first call on SmolLM2 should be answered within 5 s of the command, and `hswarm ask` within 4 s. Both are,
  on the processor of the table; on one with AVX2 alone they took 5.4 s and 4.7 s. Most of it is OpenVINO compiling the
  model, and its cache of compiled models made it slower still.
- One PSO update of a model's parameters takes 7 times as long as reading and writing them with five million parameters,
  16 times with fifty million, because it is the formula in plain numpy on one core. No search does this: a search moves
  shares of experts, as many numbers as the square of the pool's size, and then adds up the experts by these shares.
  That sum, and the fingerprints of its results, take the time.
"""

DETAILS = """## Every figure

A heading is the goal; the figures below it say whether the goal is met. They were measured on the machine named.
"load" is the machine's load over the 1, 5 and 15 minutes before: where it is above the number of cores, other
programs were running too.
"""
Content = dict[str, Any]


class Line(NamedTuple):
    """A line of the first table: what is claimed, beside what, which file says so, and how its figure reads."""

    claim: str
    rival: str
    name: str
    figure: Callable[[Content], str]
    arguments: str = ""


def quality(rival: str) -> Callable[[Content], str]:
    """Growth's score beside a rival's, with the interval of the difference."""

    def figure(content: Content) -> str:
        ours, theirs = content["methods"]["growth"], content["methods"][rival]
        gap = theirs["first less this"]
        low, high = gap["ci"]
        return f"{ours['test']:.3f}, rival {theirs['test']:.3f}: {gap['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"

    return figure


def sooner(content: Content) -> str:
    """How many times less than the naive way."""
    spent = content["paper"]
    return ", ".join(f"{key} / {spent[key]['times']:.0f}" for key in ("seconds", "calls", "tokens"))


SUMMARY = (
    Line(
        "better systems at 20,000 calls (recipes/micro.toml), score on test",
        "the paper's swarm",
        "search_quality_micro_20000",
        quality("hswarm"),
        "micro-20000",
    ),
    Line(
        "better systems at 2,000 calls, mean of six tasks",
        "the paper's swarm, best of 27 others by mean score",
        "search_quality_micro_tasks",
        quality("hswarm"),
        "micro-tasks",
    ),
    *(
        Line(
            f"as good as the naive way at its end, sooner (recipes/{name}.toml)",
            "the paper's loop, a model from disk a node",
            f"time_to_quality_{name}",
            sooner,
            name,
        )
        for name in ("demo", "smollm2", "micro")
    ),
    Line(
        "the paper's algorithm itself, faster (N = M = 10)",
        "the same loop, equal systems",
        "search_vs_naive",
        lambda content: f"{content['times']:.1f} times",
        "recipes/demo.toml --share 0.1",
    ),
    Line(
        "tokens a second, SmolLM2, several experts",
        "plain `generate` in file order",
        "engine_speed",
        lambda content: (
            f"transformers {content['transformers engine / plain generate']:.1f} times, openvino "
            f"{content['openvino: tokens/s'] / content['plain generate, batch 10, file order: tokens/s']:.1f} times"
        ),
    ),
    Line(
        "tokens computed for the same search, the demo",
        "each batch afresh, blocks of 32 tokens",
        "prefixes",
        lambda content: f"{content['kept over a run / blocks within a batch']:.2f} of them, equal replies",
        "recipes/demo.toml",
    ),
    Line(
        "8 workers on calls of fixed length",
        "8 times one worker",
        "scaling",
        lambda content: content["8 workers"].split("; ")[1].replace("speed-up ", "") + " times",
    ),
    Line(
        "100,000 calls planned and deduplicated",
        "1 s",
        "overhead",
        lambda content: f"{content['100,000 calls planned and deduplicated, s']:.2f} s",
    ),
    Line(
        "a search's first call, SmolLM2; `hswarm ask`",
        "5 s; 4 s",
        "opening",
        lambda content: f"{content['first call of a search, s']:.1f} s; {content['hswarm ask, s']:.1f} s",
    ),
)


def summary(found: dict[str, Content]) -> str:
    """The first table: one line a claim, of those that were measured."""
    rows = ["| claim | beside | figure | command |", "|---|---|---|---|"]
    for line in SUMMARY:
        if line.name in found:
            command = " ".join(filter(None, (f"python benchmarks/{script(line.name)}.py", line.arguments)))
            rows.append(f"| {line.claim} | {line.rival} | {line.figure(found[line.name])} | `{command}` |")
    return "\n".join(rows)


def script(name: str) -> str:
    """The benchmark that writes the file `name`."""
    name = name.replace("reply_lengths", "prompt_styles")  # which writes both
    return max((s.stem for s in ROOT.glob("benchmarks/*.py") if name.startswith(s.stem)), key=len)


def main() -> None:
    found = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "docs/benchmarks").glob("*.json"))}
    if "--print" in sys.argv:
        print(page(found), end="")
    else:
        (ROOT / "docs/benchmarks.md").write_text(page(found))


def page(found: dict[str, Content]) -> str:
    """The page, of the contents of docs/benchmarks/*.json by their names."""
    parts = [HEAD, summary(found), MISSED, DETAILS, *(details(*each) for each in found.items())]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def details(name: str, content: Content) -> str:
    """All figures of one file, folded."""
    machine = ", ".join(f"{key} {value}" for key, value in content["machine"].items())
    left_out = ("machine", "claim", "anytime", "tables", "svg")  # a curve: docs/search.svg; tables: docs/studies.md
    claim = content["claim"]
    heading = claim if ":" in claim.split()[0] else claim[0].upper() + claim[1:]  # not the name of a variant
    rows = "".join(f"\n| {spoken(key)} | {shown(value)} |" for key, value in content.items() if key not in left_out)
    return (
        f'<details markdown="1"><summary>{heading}: {name}</summary>\n\n`benchmarks/{script(name)}.py`; {machine}\n\n'
        f"| | |\n|---|---|{rows}\n\n</details>"
    )


def spoken(key: str) -> str:
    return key.replace(" less ", " minus ")


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return "; ".join(f"{spoken(key)}: {shown(one)}" for key, one in value.items())
    return str(value)


if __name__ == "__main__":
    main()
