"""All evidence together: who is measured, what is kept, and what a damaged candidate does to the others."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from recommender import blas
from recommender.checkpoints import load_state
from recommender.datasets import open_dataset
from recommender.evidence import EVIDENCE_VERSION, estimators_for, gather
from recommender.evidence.gather import choose
from recommender.evidence.metadata import metadata_evidence
from recommender.evidence.nearest import NEAREST_OBJECTS, nearest_sources
from recommender.profile.embedding import ENCODER
from recommender.profile.profiling import profile_dataset
from recommender.records import Checkpoint, Dataset, Evidence, Profile
from recommender.store import Store
from tests.datagen import make_dataset
from tests.evidence.kit import random_checkpoint, stored
from tests.profile.synthetic import synthetic_profile
from tests.store.builders import checkpoint as known


class Checkpoints(NamedTuple):
    """Checkpoints and the profiles of their sources, as `gather` takes them."""

    checkpoints: tuple[Checkpoint, ...]
    sources: dict[str, Profile]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A small data set of drawn shapes."""
    return open_dataset(make_dataset(tmp_path_factory.mktemp("target"), images=14, boxes=3))


@pytest.fixture(scope="module")
def profile(target: Dataset) -> Profile:
    """Its profile."""
    return profile_dataset(target)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, profile: Profile) -> Checkpoints:
    """One of an unknown source, one of a known unrelated, one trained on the target itself, one not fetched."""
    folder = tmp_path_factory.mktemp("weights")
    unrelated = synthetic_profile("unrelated", centre=2.0)
    near = replace(profile, dataset_name="near")
    absent = replace(random_checkpoint(folder, "absent", seed=3), path=None, sha256=None)
    return Checkpoints(
        checkpoints=(
            random_checkpoint(folder, "unknown", seed=0),
            replace(random_checkpoint(folder, "unrelated", seed=1), source_hash="unrelated"),
            replace(random_checkpoint(folder, "near", seed=2), source_hash="near"),
            absent,
        ),
        sources={"unrelated": unrelated, "near": near},
    )


def _measured(evidence: Evidence) -> bool:
    return all(evidence.scores.get(row.name) is not None for row in estimators_for("detect"))


def odd_states(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Weights that fit a YOLO11n in part only, as a classifier, a grey-scale or a deeper model leave them."""
    import torch

    return {
        "classifier": {key: tensor for key, tensor in state.items() if int(key.split(".")[1]) < 9},
        "grey": state | {"model.0.conv.weight": torch.rand(16, 1, 3, 3)},
        "four channels": state | {"model.0.conv.weight": torch.rand(16, 4, 3, 3)},
        "wider": state | {"model.2.cv1.conv.weight": torch.rand(64, 32, 1, 1)},
        "nothing that fits": {"model.0.conv.weight": torch.rand(2, 2)},
    }


@pytest.mark.slow
def test_odd_checkpoints_end_no_ranking(
    target: Dataset, profile: Profile, store: Store, tmp_path: Path
) -> None:
    good = random_checkpoint(tmp_path, "good")
    odd = [stored(tmp_path, name, state) for name, state in odd_states(load_state(good)).items()]
    found = gather(target, profile, (*odd, good), {}, store=store)
    assert {name: _measured(evidence) for name, evidence in found.items()} == {
        "classifier": True,
        "grey": False,
        "four channels": False,
        "wider": False,
        "nothing that fits": False,
        "good": True,
    }
    filled = {name: evidence.backbone_transferred for name, evidence in found.items()}
    assert filled["good"] == filled["four channels"] == 1.0  # its first three channels are those of a picture
    assert all(0 < (filled[name] or 0) < 1 for name in ("classifier", "grey", "wider"))


@pytest.mark.slow
def test_a_network_that_breaks_when_run_ends_no_ranking(
    target: Dataset, profile: Profile, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recommender.evidence import scores
    from recommender.families.ultralytics.backbone import Backbone

    real = scores.load_backbone

    def load(checkpoint: Checkpoint) -> Backbone:
        loaded = real(checkpoint)
        if checkpoint.name == "broken":
            del loaded.layers[2]  # the next one gets half of the channels it reads
        return loaded

    monkeypatch.setattr(scores, "load_backbone", load)
    pair = [random_checkpoint(tmp_path, name, seed=seed) for seed, name in enumerate(("broken", "good"))]
    found = gather(target, profile, pair, {}, store=store)
    assert [_measured(found[name]) for name in ("broken", "good")] == [False, True]


@pytest.mark.slow
def test_everybody_has_metadata_and_those_at_hand_features(
    target: Dataset, profile: Profile, registered: Checkpoints, store: Store
) -> None:
    seen: list[tuple[str, int, int]] = []
    found = gather(target, profile, *registered, store=store, progress=lambda *step: seen.append(step))
    assert list(found) == ["unknown", "unrelated", "near", "absent"]
    assert [_measured(evidence) for evidence in found.values()] == [True, True, True, False]
    assert found["unknown"].similarity is None
    assert found["unknown"].source_images_seen is None
    assert found["near"].similarity == pytest.approx(1.0)
    assert found["near"].source_images_seen == 1.0
    assert found["near"].box_size_shift == 0.0
    unrelated = found["unrelated"].similarity
    assert unrelated is not None
    assert unrelated < 0.7
    assert found["unrelated"].source_images_seen == 0.0
    for evidence in found.values():
        assert evidence.class_overlap == 0.5  # "circle" is known, "square" is not
        assert evidence.backbone_transferred == 1.0
        assert (
            evidence.nearest_sources == ()
        )  # the target is not its own neighbour, and one source has no rival
    assert seen[0] == ("measuring checkpoints on the images", 0, 3)
    assert seen[-1] == ("measuring checkpoints on the images", 3, 3)


@pytest.mark.slow
def test_the_second_time_nothing_is_measured(
    target: Dataset,
    profile: Profile,
    registered: Checkpoints,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = gather(target, profile, *registered, store=store)

    def refuse(*_: object) -> None:
        raise AssertionError("measured again")

    module = sys.modules["recommender.evidence.gather"]
    monkeypatch.setattr(module, "sample_target", refuse)
    monkeypatch.setattr("recommender.checkpoints.coverage", refuse)
    known = registered.checkpoints[:3]
    assert gather(target, profile, known, registered.sources, store=store) == {
        c.name: first[c.name] for c in known
    }
    renamed = replace(known[0], name="again")
    assert gather(target, profile, [renamed], {}, store=store)["again"].scores == first["unknown"].scores
    with pytest.raises(AssertionError, match="measured again"):  # other weights are another matter
        gather(
            target,
            profile,
            [replace(known[0], sha256="0" * 64)],
            {},
            store=store,
        )


def test_other_class_names_of_the_same_weights_are_counted_anew(
    target: Dataset, profile: Profile, registered: Checkpoints, store: Store
) -> None:
    first = gather(target, profile, registered.checkpoints[:1], {}, store=store, max_feature_candidates=0)[
        "unknown"
    ]
    other = replace(registered.checkpoints[0], class_names=("cell", "face"))
    second = gather(target, profile, [other], {}, store=store, max_feature_candidates=0)["unknown"]
    assert first.class_overlap == 0.5
    assert second.class_overlap == 0.0
    assert first.weights_transferred is not None
    assert second.weights_transferred is not None
    assert second.weights_transferred < first.weights_transferred


@pytest.mark.slow
def test_the_same_question_has_the_same_answer(
    target: Dataset,
    profile: Profile,
    registered: Checkpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One network after the other, or three at a time; torch's own number of threads is put back."""
    import torch

    import recommender.profile.vectors  # FAISS sets one thread for torch too

    assert recommender.profile.vectors
    answers, before = [], torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            monkeypatch.setattr(
                sys.modules["recommender.evidence.gather"], "available_threads", lambda n=threads: n
            )
            with Store(tmp_path / str(threads)) as store:
                answers.append(gather(target, profile, *registered, store=store))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert answers[0] == answers[1]


def test_the_cap_is_kept_and_measuring_may_come_later(
    target: Dataset, profile: Profile, registered: Checkpoints, store: Store
) -> None:
    none = gather(target, profile, *registered, store=store, max_feature_candidates=0)
    assert not any(map(_measured, none.values()))
    one = gather(target, profile, *registered, store=store, max_feature_candidates=1)
    assert [name for name, evidence in one.items() if _measured(evidence)] == ["near"]
    again = gather(target, profile, *registered, store=store, max_feature_candidates=0)
    assert again == one  # what is known is not forgotten


@pytest.mark.slow
def test_the_history_finds_what_was_gathered(
    target: Dataset, profile: Profile, registered: Checkpoints, store: Store
) -> None:
    found = gather(target, profile, *registered, store=store)
    for checkpoint in registered.checkpoints[:3]:
        sha256 = checkpoint.sha256
        assert sha256 is not None
        key = (target.content_hash, sha256)
        assert store.evidence.of([key[0]], [key[1]], EVIDENCE_VERSION) == {key: found[checkpoint.name]}


@pytest.mark.slow
def test_a_damaged_file_costs_its_own_features_only(
    target: Dataset,
    profile: Profile,
    registered: Checkpoints,
    store: Store,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damaged = random_checkpoint(tmp_path, "damaged", seed=9)
    assert damaged.path is not None
    content = bytearray(damaged.path.read_bytes())
    content[-1] ^= 1
    damaged.path.write_bytes(content)
    found = gather(target, profile, [registered.checkpoints[0], damaged], {}, store=store)
    assert _measured(found["unknown"])
    assert not _measured(found["damaged"])
    assert found["damaged"].class_overlap == 0.5
    assert "no feature evidence for damaged" in caplog.text
    measured: list[str] = []
    gather(
        target,
        profile,
        [damaged],
        {},
        store=store,
        progress=lambda stage, done, total: measured.append(stage),
    )
    assert not measured, "images are decoded, and torch loaded, for weights that cannot be used"


def test_large_networks_count_several_times() -> None:
    def card(name: str, parameters: float) -> Checkpoint:
        return known(name, origin="zoo", num_parameters=int(parameters), sha256=name, path=Path(name))

    cards = [card("a", 2e6), card("b", 40e6), card("c", 2e6), card("d", 8e6)]
    evidence = {
        "a": Evidence(similarity=0.9),
        "b": Evidence(similarity=0.95),
        "c": Evidence(),
        "d": Evidence(),
    }
    assert [c.name for c in choose(cards, evidence, 4)] == ["a", "c", "d"]
    assert [c.name for c in choose(cards, evidence, 11)] == ["b", "a"]
    assert choose(cards, evidence, 0) == []


def test_copies_of_one_training_leave_room_for_the_others(tmp_path: Path) -> None:
    card = replace(random_checkpoint(tmp_path), num_parameters=1_000_000)
    copies = [
        replace(card, name=f"copy{i}", sha256=f"{i}", source_hash="s", source_images=10**6) for i in range(9)
    ]
    other = replace(card, name="other", sha256="x", source_hash="t", source_images=100)
    chosen = choose([*copies, other], {c.name: Evidence() for c in (*copies, other)}, 3)
    assert [c.name for c in chosen] == ["copy0", "other", "copy1"]


def test_what_is_unknown_stays_unknown(profile: Profile, tmp_path: Path) -> None:
    checkpoint = replace(random_checkpoint(tmp_path), class_names=None, architecture="no-such-network")
    evidence = metadata_evidence(profile, checkpoint, None)
    assert evidence == Evidence()
    other_encoder = synthetic_profile("other", encoder="another")
    assert metadata_evidence(profile, checkpoint, other_encoder).similarity is None
    boxless = synthetic_profile("pictures", objects=0)
    assert metadata_evidence(profile, checkpoint, boxless).box_size_shift is None
    assert metadata_evidence(profile, checkpoint, boxless).object_similarity is None


def test_the_box_size_shift_is_in_octaves(profile: Profile, tmp_path: Path) -> None:
    checkpoint = random_checkpoint(tmp_path)
    for factor, octaves in ((4.0, 2.0), (0.5, 1.0)):
        source = replace(profile, box_sizes_Q=tuple(factor * size for size in profile.box_sizes_Q))
        assert metadata_evidence(profile, checkpoint, source).box_size_shift == pytest.approx(octaves)


def test_nearest_sources_are_those_brute_force_finds() -> None:
    target = synthetic_profile("target", seed=1)
    sources = [
        synthetic_profile(name, centre=centre, seed=2) for name, centre in (("near", 0.2), ("far", 3.0))
    ]
    names = nearest_sources(target, [*sources, replace(target, dataset_name="itself"), sources[0]])
    assert len(names) == min(NEAREST_OBJECTS, len(target.object_vectors_MK))
    for vector, name in zip(target.object_vectors_MK, names, strict=False):
        distances = {
            s.dataset_name: np.linalg.norm(s.object_vectors_MK - vector, axis=1).min() for s in sources
        }
        assert name == min(distances, key=distances.__getitem__)
    assert nearest_sources(target, []) == ()
    assert nearest_sources(target, sources[:1]) == (), "the only source is the nearest, whatever it holds"
    assert nearest_sources(target, [synthetic_profile("other", encoder="another")]) == ()
    assert ENCODER in EVIDENCE_VERSION  # other vectors, other neighbours


@pytest.mark.slow
def test_importing_the_evidence_loads_nothing_heavy() -> None:
    code = (
        "import recommender.evidence, sys; "
        "assert not {'torch', 'sklearn', 'ultralytics', 'faiss', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_on_real_masks_faces_and_everyday_objects_tell_more_than_circuit_boards(
    shared: Path, tmp_path: Path
) -> None:
    from recommender.evidence.gather import measure
    from recommender.evidence.samples import sample_target
    from tests.checkpoints.kit import admit

    sample = sample_target(open_dataset(shared / "data" / "mask_wearing"))
    scores = {}
    for name in ("yolo11n_coco.pt", "domain/wider_face-yolo11n.pt", "domain/deep_pcb-yolo11n.pt"):
        admitted = admit(shared / "weights" / name)
        checkpoint = replace(random_checkpoint(tmp_path), path=admitted.path, sha256=admitted.sha256)
        scores[name] = measure(checkpoint, sample)
    boards = scores.pop("domain/deep_pcb-yolo11n.pt")
    for name in ("knn_accuracy", "logme_classes", "logme_boxes", "h_score"):
        for near in scores.values():
            assert near[name] > boards[name]  # type: ignore[operator]


def test_the_cores_are_counted_though_faiss_and_ultralytics_leave_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blas, "_ASKED", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as importing ultralytics leaves it
    assert blas.available_threads() == len(os.sched_getaffinity(0))
    monkeypatch.setattr(blas, "_ASKED", "1")
    assert blas.available_threads() == 1
