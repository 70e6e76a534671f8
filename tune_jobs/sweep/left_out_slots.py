"""The slots that a sweep leaves out, since their nodes cannot train, and the trials at fault instead. Without Ray."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping


class LeftOutSlots:
    """The slots that are gone for a sweep; those that a trial at fault took out are there for others again."""

    def __init__(self) -> None:
        # For each slot, the trial that found out, if one did, and the reason.
        self._slots: list[tuple[str | None, str]] = []
        self._unfit_nodes: defaultdict[str, set[str]] = defaultdict(set)  # by the trial that found out
        self._at_fault: set[str] = set()

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reason of each slot that is left out."""
        return tuple(reason for _, reason in self._slots)

    def is_at_fault(self, id: str) -> bool:
        """True if this trial was to blame, and the slots that it took out are there for others again."""
        return id in self._at_fault

    def clear(self) -> None:
        """Give all slots back, where what kept them from others is gone."""
        self._slots.clear()

    def add(
        self, id: str, reason: str, *, unfit_on: str | None, waiting: Mapping[str, str], num_slots: int
    ) -> list[str]:
        """Leave out one of `num_slots`. Returns the trials at fault instead, mostly none; they have to fail.

        `unfit_on` is a node that found out by trial `id`; `waiting` has the data set's key of each trial that waits.
        By the second node the trial is at fault, too large for their disks perhaps; so are trials of one data set
        that took out every slot while those of another wait.
        """
        self._slots.append((None if unfit_on is None else id, reason))
        if unfit_on is not None:
            self._unfit_nodes[id].add(unfit_on)
        at_fault: list[str] = []
        if len(self._unfit_nodes[id]) > 1:
            at_fault = [id]
        elif len(self._slots) >= num_slots:
            at_fault = self._finders_of_one_data_set(waiting)
        self._at_fault.update(at_fault)
        self._slots = [slot for slot in self._slots if slot[0] not in self._at_fault]
        return at_fault

    def _finders_of_one_data_set(self, waiting: Mapping[str, str]) -> list[str]:
        """The trials that took out every slot, if all are of one data set that none could train and others wait."""
        finders = {id for id, _ in self._slots}
        found = [id for id in finders if id is not None and id in waiting]
        if len(found) < len(finders):  # a slot is its node's own fault, or a finder has trained elsewhere
            return []
        keys = {waiting[id] for id in found}
        return found if len(keys) == 1 and set(waiting.values()) - keys else []
