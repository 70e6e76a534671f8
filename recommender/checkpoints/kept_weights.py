"""One kept file of weights for all who use it, any store and the fetches of this home: a mark beside it for each.

Marks only ever spare a file: one that is left over, of a store that is gone or was moved, costs disk space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recommender.checkpoints.catalogue import is_fetched
from recommender.checkpoints.files import keep, kept_path, writing
from recommender.home import home, subfolder

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from recommender.store import Store


@dataclass(frozen=True, kw_only=True)
class WeightsUser:
    """A user of kept weights: a store, or all fetches of this home."""

    name: str
    uses: Callable[[str], bool]  # a sha256: True if these weights are recorded there

    def mark(self, sha256: str) -> Path:
        """The file that keeps these weights for this user."""
        return kept_path(sha256).with_suffix(f".{hashlib.sha256(self.name.encode()).hexdigest()[:12]}.user")


FETCHES = WeightsUser(name="fetches", uses=is_fetched)
UNMARKED = WeightsUser(name="unknown, since before there were marks", uses=lambda _: True)


def user_of(store: Store) -> WeightsUser:
    """The store as a user of weights; one inside our home stays the same when all of it moves."""
    place, ours = Path(store.place), home().resolve()
    if store.engine.dialect.name == "sqlite":
        place = place.resolve()  # one file by whatever links it is reached
    name = place.relative_to(ours) if place.is_relative_to(ours) else place
    return WeightsUser(name=str(name), uses=partial(_is_registered, store))


def weights_lock() -> BaseFileLock:
    """The lock of this home, to be held while weights are kept and recorded, or forgotten and removed: for seconds."""
    from filelock import FileLock

    return FileLock(subfolder("downloads") / "kept-weights.lock")


@contextmanager
def keeping(file: Path, sha256: str, user: WeightsUser) -> Iterator[Path]:
    """The place of a finished safetensors file, moved there for a user, who records it inside; else it goes again.

    Nobody else keeps or removes any meanwhile. Raises StorageError as `keep`.
    """
    with weights_lock(), claimed(sha256, user):
        yield keep(file, sha256)


@contextmanager
def claimed(sha256: str, user: WeightsUser) -> Iterator[None]:
    """Marks weights, there or about to be, for a user; at the end given up unless recorded. Holds no lock itself."""
    if kept_path(sha256).exists() and not _marks(sha256):
        _leave(UNMARKED, sha256)
    _leave(user, sha256)
    try:
        yield
    finally:
        give_up(sha256, user)


def give_up(sha256: str, user: WeightsUser) -> None:
    """Take a user's mark away unless it has these weights recorded; with the last mark the file goes.

    A file that nobody marked stays: an earlier version kept it, perhaps for another store. Needs the lock.
    """
    if user.uses(sha256) or not user.mark(sha256).exists():
        return
    user.mark(sha256).unlink()
    if not _marks(sha256):
        kept_path(sha256).unlink(missing_ok=True)


def _leave(user: WeightsUser, sha256: str) -> None:
    with writing(kept_path(sha256).parent):
        user.mark(sha256).write_text(user.name, encoding="utf-8")


def _marks(sha256: str) -> tuple[Path, ...]:
    return tuple(kept_path(sha256).parent.glob(f"{sha256}.*.user"))


def _is_registered(store: Store, sha256: str) -> bool:
    return bool(store.checkpoints.of_weights([sha256]))
