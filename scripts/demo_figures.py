"""What the README says of a run of `hswarm demo`, written to docs/demo.json (scores) and docs/demo.svg (the system).

hswarm demo --run demo && python scripts/demo_figures.py demo/run
"""

import json
import sys
from pathlib import Path

from hswarm import io
from hswarm.plots.graph import graph_svg
from hswarm.runs.directory import Run

DOCS = Path(__file__).parent.parent / "docs"


def main(folder: str) -> None:
    run = Run.open(folder)
    told, best = run.report.content(), run.best
    kept = {key: told[key] for key in ("task", "seed", "dev", "test", "best_single", "start", "calls", "wall_s")}
    io.write_text(DOCS / "demo.json", json.dumps({"command": "hswarm demo", **kept}, indent=1) + "\n")
    io.write_text(DOCS / "demo.svg", graph_svg(best.topology, best.assignment) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
