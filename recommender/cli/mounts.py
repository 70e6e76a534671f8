"""The subcommands. Their modules import what they need inside their functions, so help stays fast."""

from __future__ import annotations

from importlib import import_module

import typer

# (command group, module that holds its typer `app`)
GROUPS: tuple[tuple[str, str], ...] = (
    ("datasets", "recommender.cli.datasets"),
    ("checkpoints", "recommender.cli.checkpoints"),
    ("runs", "recommender.cli.runs"),
    ("keys", "recommender.cli.keys"),
)
# (command, module, function)
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("sweep", "recommender.cli.sweep", "sweep"),
    ("train", "recommender.cli.train", "train"),
    ("compare", "recommender.cli.compare", "compare"),
    ("backtest", "recommender.cli.backtest", "backtest"),
    ("devices", "recommender.cli.devices", "devices"),
    ("calibrate", "recommender.cli.devices", "calibrate"),
    ("serve", "recommender.cli.serve", "serve"),
    ("doctor", "recommender.cli.doctor", "doctor"),
)


def mount(app: typer.Typer) -> None:
    """Hang every subcommand below `app`."""
    for name, module in GROUPS:
        app.add_typer(import_module(module).app, name=name)
    for name, module, function in COMMANDS:
        app.command(name)(getattr(import_module(module), function))
