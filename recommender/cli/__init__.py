"""The command `recommend`: one short function per command, and the only place that may import upward."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    from recommender.cli.app import run

    raise SystemExit(run())


__all__ = ["main"]
