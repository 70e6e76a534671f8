"""The store of profiles, checkpoints, runs and jobs; nothing else writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recommender.store.runs import RANKABLE
    from recommender.store.store import Store

__all__ = ["RANKABLE", "Store", "open_store"]


def open_store() -> Store:
    """The store that the environment names. Loads the database's library only when called."""
    from recommender.store.store import Store

    return Store()


def __getattr__(name: str) -> object:
    # Lazy: the codec beside it is used where no database is, and sqlalchemy takes a while to load.
    if name == "Store":
        from recommender.store.store import Store

        return Store
    if name == "RANKABLE":
        from recommender.store.runs import RANKABLE

        return RANKABLE
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
