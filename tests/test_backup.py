"""The commands of docs/backup.md, as they stand there: a copy while the store is in use, and back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from recommender.store import Store
from tests.conftest import ROOT
from tests.store import builders


def blocks() -> list[str]:
    """The commands that the page tells."""
    return re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "backup.md").read_text("utf-8"), re.S)


def test_what_is_backed_up_comes_back(home: Path, tmp_path: Path) -> None:
    back_up, restore = blocks()
    places = {name: tmp_path / name.lower() for name in ("BACKUP", "RESTORED")}
    for place in places.values():
        place.mkdir()
    weights = home / "checkpoints" / "0123.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    variables = {**os.environ, **{name: str(place) for name, place in places.items()}}
    variables["RECOMMENDER_HOME"] = str(home)
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = builders.run()
    with Store() as store:
        store.runs.add(run)
        subprocess.run(["sh", "-ec", back_up], env=variables, check=True, cwd=tmp_path)
    copying = restore.split("\n")[0]
    subprocess.run(["sh", "-ec", copying], env=variables, check=True, cwd=tmp_path)
    assert (places["RESTORED"] / "checkpoints" / "0123.safetensors").read_bytes() == b"weights"
    with Store(places["RESTORED"] / "store.sqlite3") as restored:
        assert restored.runs.list() == (run,)
