"""`hswarm serve`: an OpenAI-compatible API over a found system, and a page to look at it."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace

from hswarm.bundle.package import open_source
from hswarm.consent import allow
from hswarm.engines.base import EngineSettings, close
from hswarm.errors import ConfigError
from hswarm.server.about import about
from hswarm.server.app import create_app
from hswarm.server.listener import listen, make_server
from hswarm.server.replicas import open_replicas
from hswarm.server.schema import Limits

_HERE = ("127.0.0.1", "localhost", "::1")
KEY = "HSWARM_API_KEY"


def serve(arguments: argparse.Namespace) -> None:
    """Serve until interrupted; then finish what was begun."""
    with listen(arguments.host, arguments.port) as listener:  # before the engine is loaded, which takes longer
        _serve(arguments, listener)


def _serve(arguments: argparse.Namespace, listener: socket.socket) -> None:
    key = os.environ.get(KEY, "")
    at_home = arguments.host in _HERE
    if not at_home and not key:
        print(f"warning: {arguments.host} can be reached by others and {KEY} is not set", file=sys.stderr)
    source = open_source(arguments.run, arguments.base)
    name = arguments.name or source.name
    systems = {name: source.system}
    if source.single:
        systems[f"{name}:best-single"] = source.single
    experts = [expert for system in systems.values() for expert in system.experts]
    bases = tuple(dict.fromkeys(base for system in systems.values() for base in system.bases))
    engines = open_replicas(_placed(source.system.engine, arguments), bases, experts)
    for engine in engines:
        engine.check(experts)
    limits = Limits(tokens=arguments.max_tokens, seconds=arguments.timeout)
    told = about(source)
    hosts = {"127.0.0.1", "localhost", "[::1]"} if at_home else ()
    app = create_app(systems, engines, limits=limits, key=key, hosts=hosts, queue=arguments.queue, told=told)
    server = make_server(app, grace=int(limits.seconds) + 5)
    port = listener.getsockname()[1]
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    print(
        f"serving {', '.join(systems)}: page http://{host}:{port}/, API http://{host}:{port}/v1; Ctrl-C ends it",
        flush=True,
    )
    signal.signal(signal.SIGTERM, lambda *_: None)  # the server has stopped by then: an end as asked for, not a fault
    try:
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    finally:
        for engine in engines:
            close(engine)


def _placed(settings: EngineSettings, arguments: argparse.Namespace) -> EngineSettings:
    """The system's engine, or the one that the command names, on the devices or the cluster that it names."""
    if arguments.engine and arguments.engine != settings.name:
        settings = replace(settings, name=arguments.engine, options={})  # options are the old engine's
    devices = arguments.devices
    if "://" in arguments.cluster:
        allow(arguments.cluster)  # whoever names it here wants it
    try:
        numbers = devices if devices == "auto" else tuple(map(int, filter(None, devices.split(","))))
        return replace(settings, devices=numbers, cluster=arguments.cluster, workers=arguments.workers)
    except ValueError as fault:
        raise ConfigError([f"--devices, --cluster, --workers: {fault}"]) from None
