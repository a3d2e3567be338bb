"""docs/benchmarks.md from docs/benchmarks/*.json, so that no figure is typed: python benchmarks/table.py"""

import json

from measuring import ROOT

HEAD = """# Benchmarks

Each claim is a file under `benchmarks/`, its rival measured in the same run. `make bench` runs the short ones and
prints how to run the long ones. Every run replaces its JSON under `docs/benchmarks/`; `python benchmarks/table.py`
makes this page of them. A heading is what is aimed at; the figures say whether it holds. They are of the machine named;
"load" is that of the minute before: above the number of cores, others were at work.

What was aimed at and is missed, or holds in part:

- The `openvino` engine was meant to be 2.5 times as fast as the `transformers` engine. It is not, because the latter no
  longer is plain generate: it sorts by length and computes once what prompts begin with ("transformers engine / plain
  generate"); 2.5 times of that is beyond what two cores can multiply for this model. An expert beside the weights
  costs a quarter of a pipeline's speed ("raw pipeline with the expert").
- A whole search is more than ten times as fast as the naive way in a search of ten graphs and ten assignments (the
  paper's N and M), and less than ten in the demo's three and four, where less repeats: of the demo's calls 55 % are
  generated, of the wide search's 31 %. Nearly all of our time is the engine's (what is neither that nor opening task,
  pool and engine is under 1 % of the demo), so what is left is in computing less:
  the prefix cache holds blocks of 32 tokens, and `engine.prefix_cache = "run"` would keep them longer, but a resumed
  run would then no longer repeat bit by bit (determinism.md).
- A search's first call on SmolLM2 was to be answered within 5 s and `hswarm ask` within 4 s of the command; they
  take a little longer, most of it OpenVINO compiling the model. Its cache of compiled models made that slower.
- One PSO update of the parameters themselves takes about 13 times as long as reading and writing them: the update is
  the formula in plain numpy, on one core. No search moves parameters: it moves shares, as many numbers as the square of
  the pool's experts, and sums the experts by them; that and the fingerprints of what comes out take the time.
"""


def main() -> None:
    parts = [HEAD]
    for path in sorted((ROOT / "docs/benchmarks").glob("*.json")):
        content = json.loads(path.read_text())
        machine = ", ".join(f"{key} {value}" for key, value in content.pop("machine").items())
        name = path.stem.replace("reply_lengths", "prompt_styles")  # which writes both
        script = max((s.stem for s in ROOT.glob("benchmarks/*.py") if name.startswith(s.stem)), key=len)
        content.pop("anytime", None)  # a curve: docs/search.svg
        parts.append(f"## {content.pop('claim')}\n\n`benchmarks/{script}.py`; {machine}\n\n| | |\n|---|---|")
        parts[-1] += "".join(f"\n| {key} | {shown(value)} |" for key, value in content.items())
    (ROOT / "docs/benchmarks.md").write_text("\n\n".join(part.strip("\n") for part in parts) + "\n")


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return (
        "; ".join(f"{key}: {shown(inner)}" for key, inner in value.items()) if isinstance(value, dict) else str(value)
    )


if __name__ == "__main__":
    main()
