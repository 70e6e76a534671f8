"""The one door to ultralytics: its switches are read at import, so they have to be set before.

Left alone, ultralytics runs the pickle inside a `.pt`, installs packages such a pickle names, evaluates
expressions of a model YAML, reports usage, and writes settings below the user's home.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from recommender.errors import UnavailableError
from recommender.home import subfolder

SAFE_SWITCHES = {
    "ULTRALYTICS_SAFE_LOAD": "true",  # restricted unpickling, no eval of a YAML's activation
    "YOLO_AUTOINSTALL": "false",  # no pip for modules a file names
    "YOLO_OFFLINE": "true",  # no analytics, no version checks
    "YOLO_VERBOSE": "false",  # our own progress and errors speak, not its log
}
# Callbacks that report elsewhere; inside a Ray trial the raytune one collides with our own reports.
QUIET_SETTINGS: dict[str, object] = {
    "sync": False,
    "api_key": "",
    "clearml": False,
    "comet": False,
    "dvc": False,
    "mlflow": False,
    "raytune": False,
    "tensorboard": False,
    "wandb": False,
    "vscode_msg": False,
}


_ONE_AT_A_TIME = threading.RLock()


def safe_environment() -> dict[str, str]:
    """The variables a process needs before it imports ultralytics (for child processes and Ray workers)."""
    return {**SAFE_SWITCHES, "YOLO_CONFIG_DIR": str(subfolder("ultralytics"))}


def prepare_ultralytics() -> None:
    """Import ultralytics with every switch safe; call it before any other import of ultralytics.

    Sets the variables in this process, so that its children inherit them. Cheap when repeated.

    Raises:
        UnavailableError: it was imported before without the switches, or the installed torch or
            ultralytics is too old for restricted loading (ultralytics would silently load freely).
    """
    with _ONE_AT_A_TIME:  # another thread would find a module that is half imported
        loaded = sys.modules.get("ultralytics.utils")
        if loaded is None:
            os.environ.update(safe_environment())
            loaded = _import_quietly()
    _require_safe(loaded)
    _require_restricted_loading()


def _import_quietly() -> ModuleType:
    # Its log handler takes the stdout of the moment of the import, and ours must stay free for `--json`.
    with _alone_at_first(), contextlib.redirect_stdout(sys.stderr):
        utils = importlib.import_module("ultralytics.utils")
        changed = {
            key: value for key, value in QUIET_SETTINGS.items() if utils.SETTINGS.get(key, value) != value
        }
        if changed:
            utils.SETTINGS.update(changed)
    return utils


def _alone_at_first() -> contextlib.AbstractContextManager[object]:
    """The first import writes a settings file: many workers starting at once must not write it together."""
    folder = subfolder("ultralytics")
    if (folder / "ready").exists():
        return contextlib.nullcontext()
    return _first(folder)


@contextlib.contextmanager
def _first(folder: Path) -> Iterator[None]:
    from filelock import FileLock

    with FileLock(folder / "first.lock"):
        yield
        (folder / "ready").touch()


def _require_safe(utils: ModuleType) -> None:
    wrong = [
        f"{attribute}={getattr(utils, attribute, None)}"
        for attribute, wanted in (("SAFE_LOAD", True), ("AUTOINSTALL", False))
        if getattr(utils, attribute, None) is not wanted
    ]
    if wrong:
        raise UnavailableError(
            f"ultralytics is loaded without its safety switches ({', '.join(wrong)}).",
            remedy="Import recommender's part first, set "
            + " ".join(f"{key}={value}" for key, value in SAFE_SWITCHES.items())
            + " before Python starts, or upgrade ultralytics.",
        )


def _require_restricted_loading() -> None:
    import torch

    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise UnavailableError(
            f"torch {torch.__version__} cannot load checkpoints with restrictions; 2.6 or newer is needed.",
            remedy="Upgrade it: pip install 'torch>=2.8'.",
        )
