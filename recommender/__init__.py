"""Recommends the checkpoint to start the training of an image model from, and how to fine-tune it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recommender.answer import recommend

__version__ = "0.1.0"
__all__ = ["__version__", "recommend"]


def __getattr__(name: str) -> object:
    # Lazy, so that importing the package loads neither torch nor faiss.
    if name == "recommend":
        from recommender.answer import recommend

        return recommend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
