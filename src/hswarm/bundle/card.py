"""The model card of an exported system, in the hub's format: YAML between rules, then Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from hswarm.bundle.package import RECIPE, Source
from hswarm.experts.tool import ToolExpert
from hswarm.plots.graph import graph_mermaid
from hswarm.report.render import inline
from hswarm.runs.schema import Report, Summary

_LIBRARY = {"bundle": "hswarm", "adapter": "peft", "merged": "transformers"}


def model_card(source: Source, hashes: Mapping[str, Mapping[str, str]], form: str = "bundle") -> str:
    """The text of README.md. `form` is "bundle", "adapter" or "merged"."""
    parts = [
        f"---\n{yaml_text(_data(source, form))}---",
        f"# {inline(source.name)}",
        _what(source, form),
        _usage(source, form),
        *([_scores(source.report)] if source.report else []),
        _graph(source),
        *([_found(source.report)] if source.report else []),
        *([_bases(hashes)] if hashes else []),
    ]
    return "\n\n".join(parts) + "\n"


def yaml_text(content: object) -> str:
    """`content` as YAML that ends with a line end; no value is folded over lines."""
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=float("inf")))


def _data(source: Source, form: str) -> dict[str, object]:
    """The hub's metadata, without a licence: it follows from the base's and the adapters', which only people know."""
    data: dict[str, object] = {"library_name": _LIBRARY[form], "pipeline_tag": "text-generation"}
    if bases := source.system.adapter_bases:
        data["base_model"] = [base.partition("@")[0] for base in bases]  # the hub knows no revisions there
        data["base_model_relation"] = "merge" if form == "merged" else "adapter"
    data["tags"] = ["hswarm", "multi-llm", *(["lora"] if bases and form != "merged" else [])]
    test = source.report.test if source.report else None
    if source.report and test and test.score is not None and form == "bundle":
        task = source.report.task
        data["model-index"] = [
            {
                "name": source.name,
                "results": [
                    {
                        "task": {"type": "text-generation"},
                        "dataset": {"name": task, "type": task, "split": "test"},
                        "metrics": [
                            {"type": "score", "value": round(test.score, 4), "name": f"mean score of {test.n}"}
                        ],
                    }
                ],
            }
        ]
    return data


def _what(source: Source, form: str) -> str:
    system, experts = source.system, len({expert.digest for expert in source.system.experts})
    text = (
        f"A system of {system.topology.size} nodes and {experts} experts that read one another's replies and answer as "
        "one; found by hswarm."
    )
    if form == "bundle":
        return text
    lone = (
        ""
        if system.topology.size == 1
        else (
            f" The system asks it {system.topology.size} times, nodes reading the replies of others; alone it answers "
            "once, "
            "so its scores are not the system's."
        )
    )
    kind = "a merged model" if form == "merged" else f"a plain PEFT adapter of `{system.base}`"
    return f"The one expert, {inline(system.assignment[0])}, of a system found by hswarm, as {kind}.{lone}"


def _usage(source: Source, form: str) -> str:
    place = source.hub or "this folder"
    prompt = f"It was scored with the instruction: {source.system.prompts.instruction}"
    if form == "adapter":
        return (
            _code(
                "python",
                "from peft import PeftModel",
                "from transformers import AutoModelForCausalLM",
                "",
                f'base = AutoModelForCausalLM.from_pretrained("{source.system.base.partition("@")[0]}")',
                f'model = PeftModel.from_pretrained(base, "{place}")',
            )
            + f"\n\n{prompt}"
        )
    if form == "merged":
        return (
            _code("python", "from transformers import pipeline", "", f'answer = pipeline("text-generation", "{place}")')
            + f"\n\n{prompt}"
        )
    folder = "DIR" if source.hub else place
    python = _code("python", "import hswarm", "", f'system = hswarm.load("{folder}")', 'system.respond(["a question"])')
    shell = _code(
        "",
        *([f"hf download {source.hub} --local-dir DIR"] if source.hub else []),
        "hswarm ask DIR 'a question' --trace",
        "hswarm serve DIR        # an OpenAI-compatible API, and a page",
    )
    first, then = (shell, python) if source.hub else (python, shell)
    return f"{first}\n\n{then}\n\nLoading verifies the SHA-256 of adapters, base, tokenizer and chat template."


def _scores(report: Report) -> str:
    rows = [["system", "dev (searched)", "test"]]
    single = report.best_single
    for name, row in (("found system", report), (f"best single expert ({inline(single.expert)})", single)):
        rows.append([name, _score(row.dev), _score(row.test)])
    text = f"## Scores\n\nTask {inline(report.task)}, mean score with 95 % bootstrap interval.\n\n{_table(rows)}"
    if gain := report.gain_on_test:
        text += f"\n\nFound less best single on test: {gain}, p = {gain.p_value:.4f} (paired)."
    if report.overlap:
        text += f"\n\n{report.overlap} test questions occur in dev too."
    if pruned := report.pruned:
        low, high = pruned.ci
        text += (
            f"\n\nPruned from {pruned.nodes} nodes after the search: dev {pruned.difference:+.3f} "
            f"[{low:+.3f}, {high:+.3f}]; the scores above are those before."
        )
    return text


def _graph(source: Source) -> str:
    system = source.system
    rows = [["node", "expert", "reads", "SHA-256 of the expert"]]
    for node, expert in enumerate(system.nodes):
        reads = ", ".join(str(heard + 1) for heard in system.topology.predecessors(node)) or "the question only"
        mark = " (answers)" if node == system.topology.sink else ""
        tool = f" (a tool: {inline(expert.settings.kind)})" if isinstance(expert, ToolExpert) else ""
        rows.append([f"{node + 1}{mark}", inline(expert.name) + tool, reads, f"`{expert.digest[:16]}`"])
    return (
        f"## Topology\n\n{_code('mermaid', graph_mermaid(system.topology, system.assignment).strip())}"
        f"\n\n{_table(rows)}"
    )


def _found(report: Report) -> str:
    calls, versions = report.calls, ", ".join(f"{k} {v}" for k, v in report.versions.items())
    return (
        f"## How it was found\n\n`hswarm search {RECIPE}` with seed {report.seed}: {report.iterations} "
        f"iterations, {calls.requested} calls asked for, {calls.generated} generated, "
        f"{report.wall_s:.0f} s, engine {report.engine}. Made with {versions}."
    )


def _bases(hashes: Mapping[str, Mapping[str, str]]) -> str:
    rows = [["base", "part", "SHA-256"]]
    rows += [[f"`{base}`", part, f"`{value}`"] for base, parts in hashes.items() for part, value in parts.items()]
    return f"## Base\n\n{_table(rows)}"


def _code(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```"])


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def _score(summary: Summary | None) -> str:
    return f"{summary}, n = {summary.n}" if summary and summary.score is not None else "-"
