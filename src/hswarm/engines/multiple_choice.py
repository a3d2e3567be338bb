"""Replies of one batch: generated, or for a request with options the likeliest of them."""

from __future__ import annotations

from collections.abc import Sequence

from hswarm.engines.base import Completion, Engine, LikelihoodEngine, Likelihoods, Request, SpreadingEngine
from hswarm.errors import UserError


def answer(engine: Engine, requests: Sequence[Request]) -> list[Completion]:
    """One completion for each request, in order. UserError for options where the engine gives no likelihoods."""
    choosing = [request for request in requests if request.options]
    if not choosing or isinstance(engine, SpreadingEngine):
        return engine.generate(requests)
    if not isinstance(engine, LikelihoodEngine):
        raise UserError(
            f"sampling.choose needs an engine that gives likelihoods, {engine.fingerprint} does not; "
            'use engine.name = "transformers" or leave sampling.choose out'
        )
    writing = [request for request in requests if not request.options]
    written = iter(engine.generate(writing) if writing else ())
    chosen = iter([_likeliest(*pair) for pair in zip(choosing, engine.loglikelihood(choosing), strict=True)])
    return [next(chosen if request.options else written) for request in requests]


def _likeliest(request: Request, found: Likelihoods) -> Completion:
    """The letter of the likeliest option, by its text's likelihood a character where texts are compared."""
    if not found.logs:
        return Completion("", "length", found.prompt_tokens, 0)
    lengths = [len(ending) if request.sampling.choose == "text" else 1 for ending in request.endings]
    scores = [log / max(1, length) for log, length in zip(found.logs, lengths, strict=True)]
    return Completion(request.options[scores.index(max(scores))][0], "stop", found.prompt_tokens, 0)
