"""`recommend serve`: the HTTP service and the page."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 127.0.0.1 unless told otherwise.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 8000 unless told otherwise, 0 takes a free one.")
    ] = None,
    allow_root: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help='Data sets below DIR may be named by {"path": …} (repeatable).'),
    ] = None,
    behind_tls_proxy: Annotated[
        bool,
        typer.Option("--behind-tls-proxy", help="A proxy in front speaks HTTPS; needed for a public host."),
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A host name under which people reach the service (repeatable)."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="auto|ray://…|http://…", help="Ray cluster; else a local one on demand."),
    ] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="DIR|URL", help="Where trainings leave their artefacts.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer questions.")] = None,
    plain_logs: Annotated[
        bool, typer.Option("--plain-logs", help="Logs for people instead of JSON lines.")
    ] = False,
) -> None:
    """Serve the API under /v1 and the page at /; every option is also a RECOMMENDER_SERVICE_* variable."""
    from service.server import serve as run
    from service.settings import ServiceSettings

    given = {
        "host": host,
        "port": port,
        "dataset_roots": tuple(allow_root) if allow_root else None,
        "behind_tls_proxy": behind_tls_proxy or None,
        "allowed_hosts": tuple(allowed_host) if allowed_host else None,
        "ray_address": None if address == "local" else address,
        "storage": storage,
        "workers": workers,
    }
    settings = ServiceSettings.model_validate(
        ServiceSettings().model_dump() | {name: value for name, value in given.items() if value is not None}
    )
    run(settings, say=typer.echo, plain_logs=plain_logs)
