"""The one door to ultralytics."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recommender.ultralytics_safety import SAFE_SWITCHES, prepare_ultralytics, safe_environment
from tests.processes import PYTHON, run_command


def run(code: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a fresh process, whose imports are its own."""
    clean = {key: value for key, value in os.environ.items() if key not in safe_environment()}
    own = {"RECOMMENDER_HOME": str(home), "HOME": str(home / "user")} | environment
    return run_command(*PYTHON, textwrap.dedent(code), status=None, env=clean | own, cwd=home)


@pytest.mark.slow
def test_switches_are_set_and_nothing_is_left_behind(tmp_path: Path) -> None:
    done = run(
        """
        from concurrent.futures import ThreadPoolExecutor
        from recommender.ultralytics_safety import prepare_ultralytics
        with ThreadPoolExecutor(4) as pool:  # none may find the module half imported by another
            list(pool.map(lambda _: prepare_ultralytics(), range(4)))
        import ultralytics
        from ultralytics.utils import AUTOINSTALL, ONLINE, SAFE_LOAD, SETTINGS
        ultralytics.utils.LOGGER.error("a line of ultralytics")
        print(SAFE_LOAD, AUTOINSTALL, ONLINE, SETTINGS["sync"], SETTINGS["raytune"], SETTINGS["mlflow"])
        """,
        tmp_path,
    )
    assert done.stdout == "True False False False False False\n", done.stderr
    assert "a line of ultralytics" in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["ultralytics"]


@pytest.mark.slow
@pytest.mark.parametrize("switch", ["ULTRALYTICS_SAFE_LOAD", "YOLO_AUTOINSTALL"])
def test_ultralytics_loaded_without_a_switch_is_refused(switch: str, tmp_path: Path) -> None:
    others = {key: value for key, value in SAFE_SWITCHES.items() if key != switch}
    done = run(
        """
        import ultralytics
        from recommender.errors import UnavailableError
        from recommender.ultralytics_safety import prepare_ultralytics
        try:
            prepare_ultralytics()
        except UnavailableError as error:
            print(error)
        """,
        tmp_path,
        YOLO_CONFIG_DIR=str(tmp_path / "config"),
        **others,
    )
    assert "without its safety switches" in done.stdout, done.stderr
    assert f"{switch}={SAFE_SWITCHES[switch]}" in done.stdout


@pytest.mark.slow
def test_many_first_imports_at_once_agree(tmp_path: Path) -> None:
    code = """
    from recommender.ultralytics_safety import prepare_ultralytics
    prepare_ultralytics()
    """
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: run(code, tmp_path), range(3)))
    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 3
    settings = json.loads((tmp_path / "ultralytics" / "Ultralytics" / "settings.json").read_text())
    assert {settings[key] for key in ("sync", "raytune", "mlflow", "comet")} == {False}


def test_a_torch_without_restricted_loading_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from recommender.errors import UnavailableError

    prepare_ultralytics()
    monkeypatch.delattr(torch.serialization, "get_unsafe_globals_in_checkpoint")
    with pytest.raises(UnavailableError, match=r"2\.6 or newer"):
        prepare_ultralytics()


def test_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    done = run(
        """
        import sys
        import recommender.checkpoints, recommender.class_names, recommender.ultralytics_safety
        import recommender.cli.checkpoints
        heavy = {"torch", "ray", "faiss", "ultralytics", "requests", "cv2", "safetensors"}
        print(sorted(heavy & sys.modules.keys()))
        recommender.checkpoints.zoo(), recommender.checkpoints.catalogue()
        print(sorted({"torch", "ultralytics"} & sys.modules.keys()))
        """,
        tmp_path,
    )
    assert done.stdout == "[]\n[]\n", done.stderr
