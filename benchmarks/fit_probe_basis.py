"""Write the probe that ships: cut the network, fit the basis. Run once; a refit makes a new encoder id.

    python -m benchmarks.fit_probe_basis --data ../shared/data --weights FILE.safetensors

FILE holds a whole YOLO11n (tensors named `model.<layer>.…`). The basis is fitted on FIT_SETS, whose
licences allow shipping what is derived from them; it is unsupervised: no label but the boxes' places is used.
"""

from __future__ import annotations

import hashlib
import json
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import arguments_of
from recommender.datasets import open_dataset
from recommender.profile.basis import BASIS_FILE, Basis
from recommender.profile.embedding import CARD, CARD_FILE
from recommender.profile.embedding_workers import ImageTask, embed_images
from recommender.profile.probe import LAYERS, PROBE_SIZE, WEIGHTS_FILE, load_probe
from recommender.records import Dataset

FIT_SETS = ("bccd", "cards", "gtsdb_de", "mask_wearing", "pothole", "raccoon", "ships", "website_ui")
PER_SET = 100  # images, and objects, of each set: none may dominate
NUM_COMPONENTS = 64
NUM_FREQUENCIES = 256
SEED = 0


def main() -> None:
    """Write probe.safetensors (with its checksum) when weights are given, then basis.npz."""
    parser = arguments_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the sets")
    parser.add_argument("--weights", type=Path, help="a YOLO11n as safetensors; left out: keep the probe")
    arguments = parser.parse_args()
    if arguments.weights:
        write_probe(arguments.weights)
    images, objects = [], []
    for name in FIT_SETS:
        image_features, object_features = raw_features(open_dataset(arguments.data / name), PER_SET)
        images.append(image_features)
        objects.append(object_features)
        print(f"{name}: {len(image_features)} images, {len(object_features)} objects")
    write_basis(fit_basis(np.concatenate(images)), fit_basis(np.concatenate(objects)))
    print(f"wrote {CARD['encoder']} ({BASIS_FILE.stat().st_size / 1e3:.0f} kB)")


def fit_basis(
    features_NR: NDArray[np.float32],
    *,
    num_components: int = NUM_COMPONENTS,
    num_frequencies: int = NUM_FREQUENCIES,
    bandwidth: float = 1.0,
    seed: int = SEED,
) -> Basis:
    """Standardise, principal components, then frequencies of a Gaussian kernel.

    `bandwidth` is a multiple of the median distance between two samples (the median heuristic).
    """
    features = features_NR.astype(np.float64)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    standard = (features - mean) / scale
    _, _, directions = np.linalg.svd(standard, full_matrices=False)
    components = directions[:num_components].T
    # An SVD's signs are arbitrary: fix them, so that a refit on other hardware gives the same basis.
    components *= np.sign(components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])])
    rng = np.random.default_rng(seed)
    sample = (standard @ components)[rng.permutation(len(standard))[:1500]]
    distances = np.linalg.norm(sample[:, None] - sample[None], axis=2)
    sigma = bandwidth * float(np.median(distances[distances > 0]))
    frequencies = rng.normal(size=(components.shape[1], num_frequencies)) / sigma
    return Basis(
        mean_R=mean.astype(np.float32),
        scale_R=scale.astype(np.float32),
        components_RK=components.astype(np.float32),
        frequencies_KF=frequencies.astype(np.float32),
    )


def write_probe(weights: Path) -> None:
    """Keep the probe's layers in half precision; loading turns them back to single."""
    from safetensors.torch import load_file, save

    last = len(LAYERS)
    kept = {
        key.removeprefix("model."): tensor.half() if tensor.is_floating_point() else tensor
        for key, tensor in load_file(weights).items()
        if int(key.removeprefix("model.").split(".")[0]) < last
    }
    content = save(kept, metadata={"licence": "AGPL-3.0", "source": "YOLO11n trained on COCO (Ultralytics)"})
    WEIGHTS_FILE.write_bytes(content)
    CARD["probe_sha256"] = hashlib.sha256(content).hexdigest()


def raw_features(dataset: Dataset, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The probe's pooled features of a seeded sample of `count` images, and of `count` of their objects."""
    rng = np.random.default_rng(SEED)
    chosen = rng.permutation(len(dataset.images))[:count]
    images, objects = [], []
    tasks = (ImageTask(index=int(i), image=dataset.images[i], embed=True) for i in chosen)
    for seen in chain.from_iterable(embed_images(tasks, load_probe(), lambda features_MR: features_MR)):
        if seen.value is not None:
            images.append(seen.value[:1])
            objects.append(seen.value[1:])
    objects_MR = np.concatenate(objects)
    return np.concatenate(images), objects_MR[rng.permutation(len(objects_MR))[:count]]


def write_basis(image: Basis, objects: Basis) -> None:
    """Both blocks in one npz file, uncompressed: the same numbers give the same bytes."""
    arrays = {}
    for block, basis in (("image", image), ("object", objects)):
        arrays[f"{block}_mean"] = basis.mean_R
        arrays[f"{block}_scale"] = basis.scale_R
        arrays[f"{block}_components"] = basis.components_RK
        arrays[f"{block}_frequencies"] = basis.frequencies_KF
    np.savez(BASIS_FILE, **arrays)  # type: ignore[arg-type]
    CARD["basis_sha256"] = hashlib.sha256(BASIS_FILE.read_bytes()).hexdigest()
    digest = hashlib.sha256((CARD["probe_sha256"] + CARD["basis_sha256"]).encode()).hexdigest()
    CARD["encoder"] = f"yolo11n-{PROBE_SIZE}-{digest[:12]}"
    CARD_FILE.write_text(json.dumps(CARD, indent=2) + "\n")


if __name__ == "__main__":
    main()
