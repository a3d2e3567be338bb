"""The twelve tasks of the paper (arXiv 2502.04510), by name; their data stays where it is.

A named task knows prompt, answer length, scorer and where its questions come from. They are read from a file or a
folder (task.path, or the environment's HSWARM_DATA), e.g. data/eval in a checkout of the authors' repository, or from
the hub where the original is published (task.hub).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hswarm.errors import TaskError
from hswarm.registry import Part
from hswarm.tasks.formats import read_data
from hswarm.tasks.hub import Cells, read_hub
from hswarm.tasks.settings import TaskSettings
from hswarm.tasks.splits import drawn, finished
from hswarm.tasks.task import Task, task

FOLDER = "HSWARM_DATA"
_FILES = "github.com/BunsenFeng/heterogeneous_swarm, data/eval/"


@dataclass
class NamedTask:
    """What is known about a task without its questions; calling it with settings reads them.

    `form` is the format of a question; `sizes` are those of the authors' dev and test, None where not known. `hub` is
    the original's id, if it can be read from there: `subset`, `columns`, `splits` and `convert` then fit it.
    """

    form: str
    instruction: str = "Choose the option that is right. Reply with its letter alone."
    scorer: str = "choice"
    max_new_tokens: int = 50
    sizes: tuple[int, int] | None = None
    licence: str = "see the source"
    reference: str = "reference"
    hub: str = ""
    subset: str = ""
    columns: Mapping[str, str | list[str]] = field(default_factory=dict)
    splits: tuple[str, str] = ("", "")
    convert: Callable[[Cells], Cells] | None = None
    __part__: Part = field(init=False, repr=False)  # what `@task` declares

    @property
    def name(self) -> str:
        return self.__part__.name

    @property
    def source(self) -> str:
        """The paper and where the original is published."""
        return self.__part__.paper

    def __call__(self, settings: TaskSettings) -> Task:
        """The task with its questions. TaskError says where to get them if they are not found."""
        if settings.hub:
            data, source = read_hub(self._fitted(settings), self.convert), settings.hub
        else:
            source = str(self.find(settings.path))
            names = {"dev": settings.dev_split, "test": settings.test_split}
            data = read_data(source, settings.columns, names)
        dev, test = drawn(data, settings, source)
        made = Task(
            self.name,
            dev,
            test,
            self.scorer,
            self.max_new_tokens,
            f"{source}; {self.source}",
            self.licence,
            self.instruction,
            reference=self.reference,
        )
        return finished(made, settings)

    def find(self, path: str) -> Path:
        """The file at `path`, in the folder `path`, or in the folder that HSWARM_DATA names."""
        given = path or os.environ.get(FOLDER, "")
        root = Path(given).expanduser()
        for found in (root, root / f"{self.name}.json", root / "data" / "eval" / f"{self.name}.json"):
            if given and found.is_file():
                return found
        missed = f"{self.name}.json is not in {root}" if given else "its questions are not here"
        hub = f', or read the original from the hub (task.hub = "{self.hub}")' if self.hub else ""
        raise TaskError(
            f"task '{self.name}': {missed}; name its file or folder (task.path, --path, or {FOLDER} in the "
            f"environment), e.g. a checkout of {_FILES}{hub}"
        )

    def _fitted(self, settings: TaskSettings) -> TaskSettings:
        if settings.hub != self.hub:
            return settings
        dev, test = self.splits
        return replace(
            settings,
            subset=settings.subset or self.subset,
            columns={**self.columns, **settings.columns},
            dev_split=settings.dev_split or dev,
            test_split=settings.test_split or test,
        )


def _worked(row: Cells) -> Cells:
    """GSM8k's original answers are worked out and end in "#### number"."""
    return {**row, "answer": str(row["answer"]).rpartition("####")[2].strip()}


abkg = task(
    "abkg",
    "AgentBench, questions over a knowledge graph, as multiple choice",
    paper="AgentBench (arXiv 2308.03688), github.com/THUDM/AgentBench",
)(NamedTask(form="choices A to D", sizes=(50, 120), licence="Apache-2.0 (repository)"))
com2 = task(
    "com2", "COM2, complex commonsense reasoning", paper="COM2 (arXiv 2403.07398), github.com/HKUST-KnowComp/COM2"
)(NamedTask(form="choices", sizes=(317, 1000)))
gaia = task(
    "gaia",
    "GAIA, the questions that text alone answers",
    paper="GAIA (arXiv 2311.12983), hf.co/datasets/gaia-benchmark/GAIA",
)(
    NamedTask(
        form="short answer; 10 context chunks, one a node",
        instruction=(
            "Answer the question. The context is one part of the notes on it and may not be enough. Reply with the "
            "answer alone: a number, a name or a list with commas."
        ),
        scorer="exact",
        sizes=(13, 28),
        licence="gated: its owners ask not to publish it again in a form that can be crawled",
    )
)
gsm8k = task(
    "gsm8k", "GSM8k, school mathematics in words", paper="GSM8k (arXiv 2110.14168), hf.co/datasets/openai/gsm8k"
)(
    NamedTask(
        form="number",
        instruction="Solve the problem in a few short steps. End with a line 'Answer:' and the number.",
        scorer="exact",
        max_new_tokens=100,
        sizes=(200, 1000),
        licence="MIT",
        reference="reference_last5",
        hub="openai/gsm8k",
        subset="main",
        splits=("train", "test"),
        convert=_worked,
    )
)
knowledge_crosswords = task(
    "knowledge_crosswords",
    "Knowledge Crosswords, blanks of a small knowledge graph",
    paper="Knowledge Crosswords (arXiv 2310.01290)",
)(
    NamedTask(
        form="choices A to D; a worked example (icl_prompt) goes first",
        instruction="Choose the option in which every blank meets all constraints. Reply with its letter alone.",
        sizes=(200, 1000),
    )
)
ltp = task(
    "ltp", "AgentBench, lateral thinking puzzles", paper="AgentBench (arXiv 2308.03688), github.com/THUDM/AgentBench"
)(
    NamedTask(
        form="text, with a worked example in the question",
        instruction="Explain what happened in the story, in one to three sentences.",
        scorer="judge",
        max_new_tokens=200,
        sizes=(20, 50),
        licence="Apache-2.0 (repository)",
    )
)
mmlu = task(
    "mmlu",
    "AbstainQA on MMLU: a wrong answer costs what a right one earns",
    paper="MMLU (arXiv 2009.03300), hf.co/datasets/cais/mmlu; AbstainQA (arXiv 2402.00367)",
)(
    NamedTask(
        form="choices A to D",
        scorer="abstain",
        max_new_tokens=100,
        sizes=(200, 1000),
        licence="MIT",
        hub="cais/mmlu",
        subset="all",
        columns={"domain": "subject"},
        splits=("validation", "test"),
    )
)
mmlu_pro = task(
    "mmlu_pro",
    "MMLU-Pro, knowledge with up to ten options",
    paper="MMLU-Pro (arXiv 2406.01574), hf.co/datasets/TIGER-Lab/MMLU-Pro",
)(
    NamedTask(
        form="choices A to J",
        sizes=(70, 1000),
        licence="MIT",
        hub="TIGER-Lab/MMLU-Pro",
        columns={"choices": "options", "domain": "category", "id": "question_id"},
        splits=("validation", "test"),
    )
)
nlgraph = task(
    "nlgraph",
    "NLGraph, connectivity and shortest paths of graphs told in words",
    paper="NLGraph (arXiv 2305.10037), github.com/Arthur-Heng/NLGraph",
)(
    NamedTask(
        form="number, or Yes/No",
        instruction=(
            "Look at the graph's edges and answer the question. Reply with the answer alone: a number, or Yes or No."
        ),
        scorer="exact",
        max_new_tokens=80,
        sizes=(200, 1000),
        licence="Apache-2.0",
    )
)
normad = task(
    "normad",
    "NormAd, is an action acceptable in a culture",
    paper="NormAd (arXiv 2404.12464), github.com/Akhila-Yerukola/NormAd",
)(NamedTask(form="choices A to C (yes, no, neutral)", sizes=(500, 2000)))
qasper = task(
    "qasper", "Qasper, questions on research papers", paper="Qasper (arXiv 2105.03011), hf.co/datasets/allenai/qasper"
)(
    NamedTask(
        form="text; 10 context chunks, one a node",
        instruction=(
            "Answer the question about the paper from the context, which is one part of it. Be short; say "
            "'Unanswerable' if nothing there answers it."
        ),
        scorer="judge",
        max_new_tokens=200,
        sizes=(100, 100),
        licence="CC BY 4.0",
    )
)
wow = task(
    "wow",
    "Wrong over wrong: which of two wrong answers is less wrong",
    paper="Varying Shades of Wrong (arXiv 2410.11055)",
)(NamedTask(form="choices"))
