"""`recommend keys`: who may use the service."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from recommender.cli.console import err, out, print_json
from recommender.cli.options import AsJson
from recommender.errors import NotFoundError
from recommender.store import open_store
from recommender.text import printable

app = typer.Typer(no_args_is_help=True, help="API keys of the service: create, list, revoke.")


@app.command()
def create(
    owner: Annotated[str, typer.Option(help="Whose things the key opens.")] = "admin",
    role: Annotated[
        str, typer.Option(help="admin sees everybody's, user their own, reader changes nothing.")
    ] = "user",
    days: Annotated[float | None, typer.Option(help="How long it is valid; for ever if left out.")] = None,
) -> None:
    """Create a key and print it, alone, on stdout. It is shown once: only its digest is kept."""
    from service.auth import create_key

    with open_store() as store:
        key, secret = create_key(store, owner=owner, role=role, days=days)  # type: ignore[arg-type]
    err().print(f"Key {key.id} for {key.owner}, role {key.role}. Keep it: it is not shown again.")
    sys.stdout.write(f"{secret}\n")


@app.command("list")
def list_keys(
    as_json: AsJson = False,
) -> None:
    """List the keys, without their secrets."""
    with open_store() as store:
        keys = store.keys.list()
    if as_json:
        shown = [{name: told for name, told in asdict(key).items() if name != "digest"} for key in keys]
        print_json({"keys": shown})
        return
    table = Table("key", "owner", "role", "created", "expires", "revoked", box=None)
    for key in keys:
        table.add_row(
            key.id,
            printable(key.owner),
            key.role,
            key.created_at[:16],
            (key.expires_at or "never")[:16],
            (key.revoked_at or "")[:16],
        )
    out().print(table)


@app.command()
def revoke(key: Annotated[str, typer.Argument(help="Its id, or the key itself.")]) -> None:
    """Revoke a key; requests with it are refused from now on, and its browser sessions end."""
    parts = key.split("_", 2)
    id = parts[1] if len(parts) == 3 else key
    with open_store() as store:
        if not store.keys.revoke(id):
            raise NotFoundError(
                f"There is no key '{printable(id)}' in force.", remedy="`recommend keys list` shows them."
            )
    err().print(f"Key {id} is revoked.")
