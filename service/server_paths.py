"""Answers name no path of the machine that the service runs on."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from recommender.home import home


def without_server_paths(text: str) -> str:
    """The text with the service's own and temporary paths cut to their last part, such as a file's name."""
    folders = {
        str(folder) for own in (home(), Path(tempfile.gettempdir())) for folder in (own, own.resolve())
    }
    longest_first = "|".join(re.escape(folder) for folder in sorted(folders, key=len, reverse=True))
    return re.sub(rf"(?:{longest_first})(?:/[^\s'\"`,;:()\\]*)?", _last_part, text)


def _last_part(found: re.Match[str]) -> str:
    return Path(found.group().rstrip(".")).name + ("." if found.group().endswith(".") else "")
