"""``askew serve MODEL``."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from askew.cli import listening
from askew.cli.app import app, busy, say


@app.command()
def serve(
    model_file: Annotated[
        str, typer.Argument(metavar="MODEL", help="The model file.", show_default=False)
    ],
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; another than loopback needs a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")
    ] = 8000,
    token_file: Annotated[
        str | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="Ask callers for the token in this file's first line.",
        ),
    ] = None,
    max_body: Annotated[
        int, typer.Option("--max-body", min=1, max=1024, metavar="MIB", help="Largest request.")
    ] = 16,
    reasons: Annotated[
        int,
        typer.Option(
            "--reasons",
            min=0,
            max=10,
            metavar="N",
            help="Reasons a row, unless a request says otherwise.",
        ),
    ] = 3,
) -> None:
    """Score rows by a model over HTTP, with reasons.

    POST /api/score takes rows as JSON, Arrow or Parquet; /api/openapi.json tells the columns.
    GET /healthz says that it runs, GET /metrics gives figures for Prometheus. Listens on this
    machine alone unless --host says otherwise.
    """
    listening.check_extra()
    from askew.cli import tables
    from askew.http import hosts_of, is_loopback

    if not is_loopback(host) and token_file is None:
        raise typer.BadParameter(
            f"{host} can be reached from other machines; give --token-file FILE with a token of "
            f"{listening.SHORTEST} characters or more, or leave --host out",
            param_hint="--host",
        )
    token = None if token_file is None else listening.token_in(token_file)
    with closing(listening.listen(host, port)) as listener:
        with busy("Loading"):
            from askew.serving.app import Service
            from askew.serving.gate import MIB

            model = tables.load_model(model_file)
        with Service(
            model,
            hosts=hosts_of(host),
            token=token,
            largest=max_body * MIB,
            n_reasons=reasons,
        ) as service:
            address = listening.origin_of(host, listener.getsockname()[1])
            say(f"Model {model.id_}: {model.schema_.n_rows:,} rows, {model.schema_.describe()[0]}")
            say(
                f"Send rows to {address}/api/score; {address}/api/openapi.json tells their columns."
            )
            say("Stop with Ctrl-C.")
            listening.serve(service.app, listener)
        n = service.metrics.unanswered
    if n:
        say(f"Stopped. {n:,} {'request' if n == 1 else 'requests'} that had come got no answer.")
    else:
        say("Stopped. Every request that had come was answered.")
