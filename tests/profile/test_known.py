"""Profiles that are known already are not computed again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from recommender.profile import ENCODER
from recommender.profile.known import known_profile, source_profile
from recommender.profile.shipped import builtin_profiles
from recommender.records import Dataset, Profile
from recommender.store import Store
from tests.datagen import make_dataset
from tests.profile.synthetic import synthetic_profile

pytestmark = pytest.mark.usefixtures("quiet_home")


def test_a_set_is_embedded_once_whatever_it_is_called(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(make_dataset(tmp_path / "first", images=4))
    first = known_profile(dataset, store)

    def must_not_run(*_: object, **__: object) -> Profile:
        raise AssertionError("embedded again")

    monkeypatch.setattr("recommender.profile.profiling.profile_dataset", must_not_run)
    again = known_profile(replace(dataset, name="second name"), store)
    assert again.dataset_name == "second name"
    assert again.embedding_D.tobytes() == first.embedding_D.tobytes()
    with pytest.raises(AssertionError, match="embedded again"):
        known_profile(_edited(dataset), store)


def _edited(dataset: Dataset) -> Dataset:
    return replace(dataset, content_hash="0" * 64)


def test_the_stored_profile_of_a_source_comes_before_the_shipped(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = replace(synthetic_profile("shipped"), dataset_hash="a" * 64)
    monkeypatch.setattr("recommender.profile.known.builtin_profiles", lambda: {shipped.dataset_hash: shipped})
    assert source_profile(None, store) is None
    assert source_profile("b" * 64, store) is None
    assert source_profile(shipped.dataset_hash, store) is shipped
    store.profiles.put(replace(shipped, dataset_name="mine"))
    found = source_profile(shipped.dataset_hash, store)
    assert found is not None
    assert found.dataset_name == "mine"


def test_shipped_profiles_are_of_this_encoder_and_small() -> None:
    from recommender.profile.shipped import FOLDER

    files = sorted(FOLDER.glob("*.npz"))
    if not files:
        pytest.skip("no profiles are shipped yet")
    assert len(builtin_profiles()) == len(files)
    assert {profile.encoder for profile in builtin_profiles().values()} == {ENCODER}
    assert max(file.stat().st_size for file in files) <= 300_000
