"""The paper's further questions, asked of the pool of everyday steps, each answer beside what the paper found.

    python benchmarks/paper_studies.py runs/steps-weak/study.json runs/steps-roles/analysis/roles.json ...

Takes what `hswarm study` and `hswarm analyze` found, keeps it as docs/benchmarks/paper_studies_NAME.json, and writes
all that is kept into docs/studies.md, which has the commands.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from measuring import ROOT, fill, publish
from pydantic import TypeAdapter

from hswarm.analysis.result import AnalysisResult

RESULT = TypeAdapter(AnalysisResult)
PAPER = {
    "weak": "without its best expert, and with the weaker half alone, a system still beats the best single expert",
    "transfer": "found on Knowledge Crosswords, asked WikiDYK: the swarms .566, model swarms .527, greedy soup .525, "
    "pack of LLMs .513, LoraHub .501, GPTSwarm .472, AgentPrune .431, GNNs .365",
    "importance": "roles or weights may matter more, by task; ablations and rivals agree on which in 10 of 12 tasks",
    "roles": "branching nodes divide the problem, converging nodes refine and give feedback (labels by a judge)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("found", nargs="*", type=Path, help="study.json of a study, or an analysis's JSON file")
    for path in parser.parse_args().found:
        result = RESULT.validate_json(path.read_text())
        publish(f"paper_studies_{result.name}", PAPER[result.name], asdict(replace(result, svg="")))
    kept = [path for name in PAPER if (path := ROOT / f"docs/benchmarks/paper_studies_{name}.json").is_file()]
    texts = [section(RESULT.validate_json(path.read_text())) for path in kept]
    fill(ROOT / "docs/studies.md", "<!-- further: benchmarks/paper_studies.py -->", "\n\n".join(texts))


def section(found: AnalysisResult) -> str:
    """A result as a section of the page, behind what the paper found, without its calls."""
    heading, rest = replace(found, calls={}).markdown().split("\n\n", 1)
    return f"#{heading}\n\nPaper: {PAPER[found.name]}.\n\nHere:\n\n{rest}"


if __name__ == "__main__":
    main()
