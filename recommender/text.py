"""Text of users made safe to show. Data keeps the text as it is; only what is shown passes here."""

from __future__ import annotations

import unicodedata

# Cc, Cf: control and invisible format characters, escape sequences and bidi overrides among them;
# Cs, Co, Cn: surrogates and code points without a meaning; Zl, Zp: line breaks other than \n.
UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: object, *, limit: int = 200) -> str:
    """Return `text` on one line with control, invisible and broken characters escaped, cut to `limit`."""
    raw = str(text)
    cut = raw[: limit + 1]
    shown = cut if cut.isascii() and cut.isprintable() else "".join(map(_shown, cut))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _shown(character: str) -> str:
    if unicodedata.category(character) in UNSHOWN:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
