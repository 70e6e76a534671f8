"""Files that try to run code when read: each touches a marker if it succeeds."""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.checkpoints.kit import random_model, save_ultralytics


class Call:
    """Pickles as a call of `function(*arguments)`, by reference to its name."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


class NamedCall:
    """Pickles as a call of `module.name(*arguments)`, which need not exist here."""

    def __init__(self, module: str, name: str, *arguments: object) -> None:
        self.code = (
            b"\x80\x02c"
            + module.encode()
            + b"\n"
            + name.encode()
            + b"\n"
            + pickle.dumps(arguments, 2)[2:-1]
            + b"R."
        )

    def bytes(self) -> bytes:
        """A whole pickle of it."""
        pickletools.optimize(self.code)  # fails for code that is no pickle at all
        return self.code


def plant(file: Path, kind: str, marker: Path) -> Path:
    """Write a bomb of this kind; `KINDS` lists them."""
    KINDS[kind](file, marker)
    return file


def _whole(file: Path, marker: Path) -> None:
    import os

    torch.save(Call(os.system, f"touch {marker}"), file)


def _beside_weights(file: Path, marker: Path) -> None:
    import os

    save_ultralytics(file, nn.Sequential(nn.Conv2d(3, 4, 3)), train_args=Call(os.system, f"touch {marker}"))


def _inside_model(file: Path, marker: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    model.extra = Call(exec, f"open({str(marker)!r}, 'w').close()")  # type: ignore[assignment]
    save_ultralytics(file, model)


def _plain_pickle(file: Path, marker: Path) -> None:
    file.write_bytes(NamedCall("posix", "system", f"touch {marker}").bytes())


def _old_format(file: Path, marker: Path) -> None:
    import os

    torch.save({"model": Call(os.system, f"touch {marker}")}, file, _use_new_zipfile_serialization=False)


def _through_getattr(file: Path, marker: Path) -> None:
    """`getattr` is named by honest checkpoints; here it reaches for more."""
    import os

    torch.save(
        {"model": Call(getattr, Call(__import__, "os"), "system"), "x": Call(os.system, f"touch {marker}")},
        file,
    )


def _ultralytics_function(file: Path, marker: Path) -> None:
    """A permitted package, but a function in it that downloads and writes."""
    from ultralytics.utils.downloads import safe_download

    torch.save({"model": Call(safe_download, f"file://{marker}.from", marker)}, file)


def _yaml_activation(file: Path, marker: Path) -> None:
    """The model description in the file carries an expression, which ultralytics would evaluate."""
    model: Any = random_model()
    model.yaml["activation"] = f"__import__('os').system('touch {marker}') or nn.SiLU()"
    save_ultralytics(file, model)


KINDS: dict[str, Callable[[Path, Path], None]] = {
    "whole": _whole,
    "beside weights": _beside_weights,
    "inside the model": _inside_model,
    "plain pickle": _plain_pickle,
    "old format": _old_format,
    "through getattr": _through_getattr,
    "ultralytics function": _ultralytics_function,
    "yaml activation": _yaml_activation,
}
