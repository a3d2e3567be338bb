"""A role-step over models behind an API: whose replies should reach whom? Any OpenAI-compatible address will do.

OPENAI_API_KEY=... python examples/role_step_over_api.py http://127.0.0.1:8000/v1 questions.json MODEL MODEL ...
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

import hswarm
from hswarm.engines.base import Completion, Request
from hswarm.experts.adapter import Adapter
from hswarm.experts.expert import Expert
from hswarm.scorers import get_scorer
from hswarm.system.executor import Executor
from hswarm.tasks import TaskSettings, load_task

address, file, *models = sys.argv[1:]
client, task, rng = OpenAI(base_url=address), load_task(TaskSettings(path=file)), np.random.default_rng(0)


class Api:
    """An engine is anything with these four."""

    fingerprint = address

    def check(self, experts: Sequence[Expert]) -> None:
        """Any model will do."""

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        return [list(range(len(requests)))]

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.ask, requests))

    def ask(self, request: Request) -> Completion:
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": request.prompt}]
        reply = client.chat.completions.create(model=request.expert.name, messages=messages, temperature=0)
        choice, usage = reply.choices[0], reply.usage
        tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        return Completion(
            choice.message.content or "", "length" if choice.finish_reason == "length" else "stop", *tokens
        )


experts = tuple(Adapter.from_vector(name, np.array([i]), None) for i, name in enumerate(models))
swarm = hswarm.Swarm(rng.uniform(size=(6, len(experts) ** 2)), hswarm.SwarmSettings(), rng)
executor, score = Executor(Api()), get_scorer(task.scorer)
for step in range(4):
    graphs = [hswarm.g_decode(row.reshape(len(experts), -1), rng) for row in swarm.ask()]
    transcripts = executor.run([hswarm.System(graph, experts) for graph in graphs], task.dev, f"{step}")
    answers = [[reply.text for reply in nodes[graph.sink]] for graph, nodes in zip(graphs, transcripts, strict=True)]
    utilities = [np.mean([found.value for found in score(task.dev, texts)]) for texts in answers]
    swarm.tell(np.array(utilities))
    print(step, max(utilities), sorted(graphs[int(np.argmax(utilities))].edges), executor.ledger.generated, "calls")
