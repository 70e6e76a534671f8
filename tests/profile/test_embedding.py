"""The mean embedding and the comparison, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fit_probe_basis import fit_basis
from recommender.errors import UsageError
from recommender.profile.basis import load_basis
from recommender.profile.embedding import MeanEmbedding, compare
from tests.profile.synthetic import synthetic_profile


def test_kernel_features_are_unit_rows_that_approximate_the_gaussian_kernel() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(200, 6)).astype(np.float32)
    basis = fit_basis(samples, num_components=6, num_frequencies=8192, seed=1)
    vectors = basis.project(samples)
    features = basis.kernel_features(vectors)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1.0, rtol=1e-5)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    sigma = np.median(distances[distances > 0])
    np.testing.assert_allclose(features @ features.T, np.exp(-(distances**2) / (2 * sigma**2)), atol=0.06)


def test_projection_standardises_and_keeps_distances_when_no_component_is_dropped() -> None:
    samples = np.random.default_rng(0).normal(3.0, 2.0, size=(50, 4)).astype(np.float32)
    basis = fit_basis(samples, num_components=4, num_frequencies=8)
    standard = (samples - samples.mean(axis=0)) / samples.std(axis=0)
    ours = basis.project(samples)
    np.testing.assert_allclose(
        np.linalg.norm(ours[:, None] - ours[None], axis=2),
        np.linalg.norm(standard[:, None] - standard[None], axis=2),
        atol=1e-3,
    )


def test_noise_of_single_samples_is_the_textbook_variance_of_a_mean() -> None:
    features = load_basis().image.kernel_features(
        np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32)
    )
    embedding = MeanEmbedding(features.shape[1])
    for row in features:
        embedding.add(row[None])
    assert embedding.noise() == pytest.approx(features.var(axis=0, ddof=1).sum() / 40, rel=1e-6)
    np.testing.assert_allclose(embedding.mean(), features.mean(axis=0), atol=1e-7)


def test_noise_counts_images_not_their_objects() -> None:
    """Ten copies of each sample within its image add no knowledge, so the error must not shrink."""
    features = load_basis().image.kernel_features(
        np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32)
    )
    single, repeated = MeanEmbedding(features.shape[1]), MeanEmbedding(features.shape[1])
    for row in features:
        single.add(row[None])
        repeated.add(np.repeat(row[None], 10, axis=0))
    assert repeated.noise() == pytest.approx(single.noise(), rel=1e-6)


def test_self_is_exactly_one_and_comparison_is_symmetric() -> None:
    a, b = synthetic_profile("a", seed=1), synthetic_profile("b", centre=1.0, seed=2)
    for profile in (a, b):
        assert compare(profile, profile) == replace(compare(a, b), whole=1.0, image=1.0, object=1.0)
    assert compare(a, b) == compare(b, a)


def test_two_small_samples_of_one_distribution_look_alike_only_once_the_noise_is_off() -> None:
    whole, raw = [], []
    for seed in range(20):
        a = synthetic_profile("a", images=15, seed=2 * seed)
        b = synthetic_profile("b", images=15, seed=2 * seed + 1)
        whole.append(compare(a, b).whole)
        raw.append(compare(replace(a, embedding_noise=(0, 0)), replace(b, embedding_noise=(0, 0))).whole)
    assert np.mean(whole) > 0.98
    assert np.mean(raw) < 0.95


def test_farther_distributions_are_less_similar() -> None:
    near = synthetic_profile("near", seed=1)
    similarities = [
        compare(near, synthetic_profile("x", centre=c, seed=5)).whole for c in (0.0, 0.3, 0.6, 1.5)
    ]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] - similarities[-1] > 0.3


def test_more_samples_say_the_same_with_less_noise() -> None:
    small, large = synthetic_profile("s", images=20), synthetic_profile("l", images=200)
    assert large.embedding_noise[0] < small.embedding_noise[0] / 5
    assert compare(small, large).whole > 0.97


def test_sets_without_objects_compare_by_their_images_alone() -> None:
    bare, full = synthetic_profile("bare", objects=0, seed=1), synthetic_profile("full", seed=2)
    found = compare(bare, full)
    assert found.object is None
    assert found.whole == found.image == compare(full, bare).whole
    assert compare(bare, bare).whole == 1.0


def test_class_names_do_not_matter() -> None:
    a, b = synthetic_profile("a", seed=1), synthetic_profile("b", seed=2)
    renamed = replace(b, class_names=("x", "y", "z"), class_counts=(1, 2, 3))
    assert compare(a, renamed) == compare(a, b)


def test_profiles_of_different_encoders_do_not_compare() -> None:
    a, b = synthetic_profile("a"), synthetic_profile("b", encoder="other-probe")
    with pytest.raises(UsageError, match="other-probe"):
        compare(a, b)
