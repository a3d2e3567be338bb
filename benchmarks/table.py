"""docs/benchmarks.md from docs/benchmarks/*.json, so that no figure is typed: python benchmarks/table.py"""

import json

from measuring import ROOT

HEAD = """# Benchmarks

Each claim is a file under `benchmarks/`, and its rival is measured in the same run. `make bench` runs the short ones
and prints how to run the long ones. Every run replaces its JSON file under `docs/benchmarks/`, and `python
benchmarks/table.py` makes this page from those files.

A heading is the goal; the figures below it say whether the goal is met. They were measured on the machine named.
"load" is the machine's load over the 1, 5 and 15 minutes before: where it is above the number of cores, other
programs were running too.

Goals that are missed, or met only in part:

- The `openvino` engine should have been 2.5 times as fast as the `transformers` engine. It is not, because the
  `transformers` engine is now about twice as fast as plain generate ("transformers engine / plain generate"): it
  sorts prompts by length and computes a common beginning once. Two cores cannot compute this model 2.5 times as fast
  as that. Keeping an expert beside the base's weights costs a quarter of the pipeline's speed ("raw pipeline with the
  expert").
- A whole search is more than ten times as fast as the naive way with ten graphs and ten assignments (the paper's N
  and M), but less than ten times with the demo's three and four. A small search repeats fewer calls: the demo has to
  generate 55 % of its calls, the wide search 31 %. Nearly all of the time is spent in the engine: everything else,
  apart from opening task, pool and engine, is under 1 % of the demo. To be faster, a search must compute less. The
  prefix cache holds blocks of 32 tokens, and `engine.prefix_cache = "run"` would keep them longer, but then a resumed
  run would no longer repeat bit by bit (determinism.md).
- A search's first call on SmolLM2 should have been answered within 5 s of the command, and `hswarm ask` within 4 s.
  Both take a little longer, mostly because OpenVINO compiles the model. OpenVINO's cache of compiled models made it
  slower still.
- One PSO update of a model's parameters takes about 13 times as long as reading and writing them, because it is the
  formula in plain numpy on one core. No search does this: a search moves shares of experts, as many numbers as the
  square of the pool's size, and then adds up the experts by these shares. That sum, and the fingerprints of its
  results, take the time.
"""


def main() -> None:
    parts = [HEAD]
    for path in sorted((ROOT / "docs/benchmarks").glob("*.json")):
        content = json.loads(path.read_text())
        machine = ", ".join(f"{key} {value}" for key, value in content.pop("machine").items())
        name = path.stem.replace("reply_lengths", "prompt_styles")  # which writes both
        script = max((s.stem for s in ROOT.glob("benchmarks/*.py") if name.startswith(s.stem)), key=len)
        content.pop("anytime", None)  # a curve: docs/search.svg
        claim = content.pop("claim")
        heading = claim if ":" in claim.split()[0] else claim[0].upper() + claim[1:]  # not the name of a variant
        parts.append(f"## {heading}\n\n`benchmarks/{script}.py`, `{path.name}`; {machine}\n\n| | |\n|---|---|")
        parts[-1] += "".join(f"\n| {spoken(key)} | {shown(value)} |" for key, value in content.items())
    (ROOT / "docs/benchmarks.md").write_text("\n\n".join(part.strip("\n") for part in parts) + "\n")


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
