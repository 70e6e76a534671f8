"""Profile the data sets behind the zoo and the built-in history, and ship what the forecast needs of them.

    python -m benchmarks.build_profiles --data ../shared/data [--out recommender/profile/builtin]
    python -m benchmarks.build_profiles --data ../shared/cls --task classify

Each data set becomes one small .npz (fp16 vectors, hashes, counts; no image). The zoo's cards get the content hash of
their source; COCO's source is known by the sample `coco_mini` alone, and its card says so.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.machine import arguments_of
from recommender.datasets import open_dataset
from recommender.profile.profiling import profile_dataset
from recommender.store.codec import compact, to_bytes
from recommender.tasks import TASKS

ZOO = Path("recommender/checkpoints/zoo")
OUT = Path("recommender/profile/builtin")
SAMPLES = {"COCO": "coco_mini"}  # sources of which only a sample is at hand


def main() -> int:
    """Write every profile and complete the cards."""
    parser = arguments_of(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--task", choices=[row.name for row in TASKS], default="detect")
    parser.add_argument("--names", nargs="*", help="only these; cards of the zoo then stay as they are")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    hashes = {}
    for folder in sorted(path for path in options.data.iterdir() if path.is_dir()):
        if options.names and folder.name not in options.names:
            continue
        dataset = open_dataset(folder, task=options.task)
        # The same pictures may serve two tasks.
        suffix = "" if options.task == "detect" else f"-{options.task}"
        target = options.out / f"{dataset.name}{suffix}.npz"
        target.write_bytes(to_bytes(compact(profile_dataset(dataset))))
        hashes[dataset.name] = dataset.content_hash
        print(
            f"{dataset.name:14s} {dataset.content_hash[:12]} {target.stat().st_size / 1024:.0f} KiB",
            flush=True,
        )
    if options.names or options.task != "detect":
        return 0
    for card in sorted(ZOO.glob("*.json")):
        content = json.loads(card.read_text("utf-8"))
        source = content["source_name"]
        content["source_hash"] = hashes.get(SAMPLES.get(source, source))
        card.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
