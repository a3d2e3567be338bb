"""What a system's answers can have beside their text, which depends on the engine of its last node."""

from __future__ import annotations

from hswarm.engines.base import Engine, OutputEngine
from hswarm.experts.fusion import Callee
from hswarm.system.system import System

_LACKS = {
    "logprobs": "gives no log-probabilities",
    "json": "cannot keep a reply to JSON, so ask for it in words",
}


def lacking(system: System, engine: Engine) -> dict[str, str]:
    """The fields of Output that answers of `system` cannot have, each with the reason."""
    sink = system.nodes[system.topology.sink]
    if isinstance(sink, Callee):
        offered = engine.offers(sink) if isinstance(engine, OutputEngine) else frozenset()
        who = f"the engine that answers for '{sink.name}', the last node,"
    else:
        offered, who = frozenset(), f"'{sink.name}', the last node, answers by a rule without a model, which"
    return {field: f"{who} {does}" for field, does in _LACKS.items() if field not in offered}
