"""Makes ultralytics safe and quiet in this process, before a training imports any more of it."""

from __future__ import annotations

import logging

from recommender.ultralytics_safety import prepare_ultralytics


def prepare_environment() -> None:
    """Import ultralytics with restricted loading, integrations off and no output. Cheap when repeated.

    Raises:
        UnavailableError: ultralytics was imported before without safe loading, or cannot load safely.
    """
    prepare_ultralytics()
    from ultralytics.utils import LOGGER

    LOGGER.setLevel(logging.ERROR)  # progress bars obey it too; stdout is the caller's
