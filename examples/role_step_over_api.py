"""A role-step over models behind an API: who should speak to whom? Any OpenAI-compatible address will do.

OPENAI_API_KEY=... python examples/role_step_over_api.py http://127.0.0.1:8000/v1 questions.json MODEL MODEL ...
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from openai import OpenAI

import hswarm
from hswarm.engines.base import Completion
from hswarm.experts.adapter import Adapter
from hswarm.scorers import get_scorer
from hswarm.system.executor import Executor
from hswarm.tasks import TaskSettings, load_task

address, file, *models = sys.argv[1:]
client, task, rng = OpenAI(base_url=address), load_task(TaskSettings(path=file)), np.random.default_rng(0)


class Api:
    """An engine is anything with these four."""

    fingerprint = address
    check = staticmethod(lambda experts: None)
    batches = staticmethod(lambda requests: [list(range(len(requests)))])

    def generate(self, requests):
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.ask, requests))

    def ask(self, request):
        messages = [{"role": "user", "content": request.prompt}]
        reply = client.chat.completions.create(model=request.expert.name, messages=messages, temperature=0)
        choice, usage = reply.choices[0], reply.usage
        return Completion(choice.message.content, choice.finish_reason, usage.prompt_tokens, usage.completion_tokens)


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
