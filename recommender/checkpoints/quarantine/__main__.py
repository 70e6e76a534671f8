"""Read one file, write what is in it or why it is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recommender.checkpoints.quarantine.cleaning import class_names, clean
from recommender.checkpoints.quarantine.formats import sniff, weights_inside
from recommender.checkpoints.quarantine.isolation import isolate
from recommender.checkpoints.quarantine.reading import read_safetensors, read_torch
from recommender.checkpoints.quarantine.refusal import RefusalError
from recommender.checkpoints.quarantine.sandbox import confine

if TYPE_CHECKING:
    from torch import Tensor


def examine(source: Path, folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Clean tensors and facts of a file. Raises RefusalError; runs nothing that the file names.

    `folder` takes what a zipped training run has to be unpacked into.
    """
    if sniff(source) == "zip":
        source = weights_inside(source, folder)
    read = read_safetensors if sniff(source) == "safetensors" else read_torch
    state, facts = read(source)
    return clean(state), facts | {"class_names": class_names(facts.get("class_names"))}


def main(source: Path, folder: Path) -> int:
    """0 when read, 3 when refused."""
    isolate(source, folder)  # while there is a single thread, so before torch is loaded
    import safetensors.torch

    confine(source, folder)
    try:
        tensors, facts = examine(source, folder)
        # One key alone: their order in the file is not stable, and equal weights should give equal bytes.
        metadata = {"recommender": json.dumps({"format": 1, "class_names": facts["class_names"]})}
        safetensors.torch.save_file(tensors, folder / "weights.safetensors", metadata=metadata)
        (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    except RefusalError as refusal:
        told = {"reason": refusal.reason, "remedy": refusal.remedy}
        (folder / "refusal.json").write_text(json.dumps(told), encoding="utf-8")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
