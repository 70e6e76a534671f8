"""Text of users made safe to show. Data keeps the text as it is; only what is shown passes here."""

from __future__ import annotations

import math
import shlex
import unicodedata
from collections.abc import Iterable, Sequence

NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"  # of a regular expression: what float() reads, from 0 on
BARS = "▁▂▃▄▅▆▇█"
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


def unicode_text(name: str) -> str:
    """A name that can be written anywhere: bytes of a file name that were no UTF-8 are read as Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:
        try:
            return name.encode("utf-8", "surrogateescape").decode("latin-1")
        except UnicodeEncodeError:  # no bytes: broken text of a JSON file
            return name.encode("utf-8", "replace").decode()
    return name


def are_texts(names: Iterable[str]) -> bool:
    """True where `unicode_text` would leave every name as it is."""
    return all(unicode_text(name) == name for name in names)


def sparkline(values: Sequence[float], width: int, *, top: float | None = None) -> str:
    """A curve as at most `width` bars from 0 to `top`, by default its own maximum; the last of each stretch counts."""
    if len(values) > width:
        values = [values[(i + 1) * len(values) // width - 1] for i in range(width)]
    top = top or max(values, default=0.0) or 1.0
    return "".join(BARS[max(0, min(len(BARS) - 1, int(value / top * len(BARS))))] for value in values)


def shown(value: float | None, form: str) -> str:
    """The number in a format such as ".3f"; "" where it is not known."""
    return "" if value is None else f"{value:{form}}"


def two_figures(value: float) -> str:
    """The number to two figures, and to all before the point: "0.052", "5.2", "760"."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


def rounded_up(value: float) -> str:
    """The next number of three figures that is not below the value, without exponent: "0.0521", "5.21", "1250"."""
    decimals = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{math.ceil(round(value * 10**decimals, 6)) / 10**decimals:.{decimals}f}"


def counted(number: float, noun: str) -> str:
    """Return "1 image", "2,000 images", "3 boxes", "4 classes", "0.5 GPUs"."""
    if number == 1:
        return f"1 {noun}"
    shown = f"{number:,g}" if number % 1 else f"{int(number):,}"
    return f"{shown} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"


def shell_join(words: Iterable[str]) -> str:
    """The words as a command line that can be shown and run; what must not be shown is written as $'\\x1b'."""
    return " ".join(map(_shell_word, words))


def _shell_word(word: str) -> str:
    if not any(unicodedata.category(character) in UNSHOWN for character in word):
        return shlex.quote(word)
    data = word.encode("utf-8", "surrogateescape")
    shown = (
        chr(byte) if (byte < 128 and chr(byte).isalnum()) or byte in b"/._- " else f"\\x{byte:02x}"
        for byte in data
    )
    return "$'" + "".join(shown) + "'"
