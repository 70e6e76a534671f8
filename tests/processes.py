"""Commands in processes of their own, as users start them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PYTHON = (sys.executable, "-c")
RECOMMEND = (*PYTHON, "from recommender.cli import main; main()")


def run_command(
    *command: object,
    status: int | None = 0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 500,
    **added: str,
) -> subprocess.CompletedProcess[str]:
    """The command when it has ended, and what it wrote. It has to end with this status; None takes any.

    Its environment is `env`, by default ours, and the variables `added`.
    """
    done = subprocess.run(
        [str(word) for word in command],
        env={**(os.environ if env is None else env), **added},
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=timeout_s,
        check=False,
    )
    assert status in (None, done.returncode), done.stdout[-3000:] + done.stderr[-3000:]
    return done
