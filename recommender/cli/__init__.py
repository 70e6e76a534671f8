"""The command `recommend`: one short function per command, and the only place that may import upward."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    try:
        from recommender.cli.app import run

        raise SystemExit(run())
    except KeyboardInterrupt:  # while the commands were still loaded
        raise SystemExit(130) from None


__all__ = ["main"]
