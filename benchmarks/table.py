"""docs/benchmarks.md from docs/benchmarks/*.json, so that no figure is typed: python benchmarks/table.py"""

import json

from measuring import ROOT

HEAD = """# Benchmarks

Each claim is a file under `benchmarks/`, its rival measured in the same run. `make bench` runs the short ones and
prints how to run the long ones. Every run replaces its JSON under `docs/benchmarks/`; `python benchmarks/table.py`
makes this page of them. A heading is what is aimed at; the figures say whether it holds. They are of the machine named;
"load" is that of the minute before: above the number of cores, others were at work.

The `openvino` engine was meant to be 2.5 times as fast as the `transformers` engine. It is not, because the latter no
longer is plain generate: it sorts by length and computes once what prompts begin with, which the row "transformers
engine / plain generate" shows; 2.5 times of that is beyond what two cores can multiply for this model.
"""


def main():
    parts = [HEAD]
    for path in sorted((ROOT / "docs/benchmarks").glob("*.json")):
        content = json.loads(path.read_text())
        machine = ", ".join(f"{key} {value}" for key, value in content.pop("machine").items())
        script = max((s.stem for s in ROOT.glob("benchmarks/*.py") if path.stem.startswith(s.stem)), key=len)
        parts.append(f"## {content.pop('claim')}\n\n`benchmarks/{script}.py`; {machine}\n\n| | |\n|---|---|")
        parts[-1] += "".join(f"\n| {key} | {shown(value)} |" for key, value in content.items())
    (ROOT / "docs/benchmarks.md").write_text("\n\n".join(part.strip("\n") for part in parts) + "\n")


def shown(value):
    if isinstance(value, float):
        return f"{value:.4g}"
    return (
        "; ".join(f"{key}: {shown(inner)}" for key, inner in value.items()) if isinstance(value, dict) else str(value)
    )


if __name__ == "__main__":
    main()
