"""The refusal of a file, with its reason."""

from __future__ import annotations

RESAVE = "Save its plain tensors where you trust it: torch.save(model.state_dict(), 'weights.pt'), and add that file."


class RefusalError(Exception):
    """The file is refused: why, and what to do about it."""

    def __init__(self, reason: str, remedy: str = RESAVE) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
