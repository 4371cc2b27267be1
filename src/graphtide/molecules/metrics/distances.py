"""Distances between two sets of molecules, each set summarised once.

A summary holds what the distances need; that of a reference is kept on disk, as it does not change
from one score to the next. Resampled sets (weights that sum to n) give standard errors without
looking at a molecule again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.molecules.metrics.chemnet import frechet_distance, mean_and_covariance
from graphtide.molecules.metrics.features import DESCRIPTORS, Features

__all__ = ["DISTANCES", "Summary", "distances", "resampled_errors", "summarise"]

_CONTINUOUS = DESCRIPTORS[:4]
_COUNTED = DESCRIPTORS[4:9]
_POINTS = 1000
"""Points on which the densities of continuous descriptors are compared (GuacaMol)."""
_BINS = 10
_TINY = 1e-10

DISTANCES = (
    *("fcd", "neighbourhood_mmd", "descriptor_kl", "scaffold_similarity", "fragment_similarity"),
    *("nearest_neighbour_similarity", "internal_diversity", "synthetic_accessibility_distance"),
    *("qed_distance", "logp_distance", "weight_distance"),
)
"""Names of the metrics that compare sets, as :func:`distances` returns them."""

_WASSERSTEIN = {
    "synthetic_accessibility_distance": "synthetic_accessibility",
    "qed_distance": "qed",
    "logp_distance": "logp",
    "weight_distance": "weight",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What the distances need of a set of n molecules.

    Attributes:
        descriptors: shape (n, 11).
        fingerprints: shape (n, 16), uint64.
        nearest: similarity of each to its nearest other one within the set, shape (n,).
        similar: mean similarity of each to the others, shape (n,).
        scaffolds, fragments: how often each occurs.
        neighbourhoods: mean features of the graph kernel, shape (65536,).
        mean, covariance: of ChemNet's last layer, shapes (512,) and (512, 512).
    """

    descriptors: np.ndarray
    fingerprints: np.ndarray
    nearest: np.ndarray
    similar: np.ndarray
    scaffolds: Mapping[str, float]
    fragments: Mapping[str, float]
    neighbourhoods: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


def summarise(features: Features, embedding: np.ndarray) -> Summary:
    """Return the summary of molecules with their features and ChemNet embedding (n, 512)."""
    from graphtide.molecules.metrics.similarity import highest_and_total

    count = len(features.smiles)
    nearest, total = highest_and_total(features.fingerprints, features.fingerprints, True)
    mean, covariance = mean_and_covariance(embedding)
    return Summary(
        features.descriptors,
        features.fingerprints,
        nearest,
        total / max(count - 1, 1),
        Counter(name for own in features.scaffolds for name in own),
        Counter(name for own in features.fragments for name in own),
        np.asarray(features.neighbourhoods.sum(axis=0)).ravel() / count,
        mean,
        covariance,
    )


def distances(own: Summary, reference: Summary) -> dict[str, float]:
    """Return every distance of ``DISTANCES`` between a set and its reference.

    What is not defined is not a number: a covariance and a diversity of one molecule, and a cosine
    of counts where there are none.
    """
    from scipy.stats import wasserstein_distance

    from graphtide.molecules.metrics.similarity import highest_and_total

    nearest, _ = highest_and_total(own.fingerprints, reference.fingerprints, False)
    gap = own.neighbourhoods - reference.neighbourhoods
    found = {
        "fcd": frechet_distance((own.mean, own.covariance), (reference.mean, reference.covariance)),
        "neighbourhood_mmd": float(gap @ gap),
        "descriptor_kl": float(_kl_scores(own, reference).mean()),
        "scaffold_similarity": cosine(own.scaffolds, reference.scaffolds),
        "fragment_similarity": cosine(own.fragments, reference.fragments),
        "nearest_neighbour_similarity": float(nearest.mean()),
        "internal_diversity": 1.0 - float(own.similar.mean()),
    }
    if min(len(own.descriptors), len(reference.descriptors)) < 2:
        found |= {"fcd": float("nan"), "internal_diversity": float("nan")}
    for name, column in _WASSERSTEIN.items():
        place = DESCRIPTORS.index(column)
        found[name] = float(
            wasserstein_distance(own.descriptors[:, place], reference.descriptors[:, place])
        )
    return found


def cosine(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Return the cosine between two tables of counts; not a number where one is empty.

    Example:
        >>> cosine({"a": 3.0, "b": 4.0}, {"a": 1.0})
        0.6
    """
    inner = sum(count * second[name] for name, count in first.items() if name in second)
    lengths = [np.sqrt(sum(count**2 for count in one.values())) for one in (first, second)]
    product = float(lengths[0] * lengths[1])
    return inner / product if product > 0 else float("nan")


def resampled_errors(
    features: Features,
    embedding: np.ndarray,
    own: Summary,
    reference: Summary,
    *,
    draws: int,
    generator: np.random.Generator,
) -> dict[str, float]:
    """Return bootstrap standard errors of the distances: the generated molecules are redrawn.

    Each draw takes n of the n molecules with replacement; the reference stays. Similarities within
    the set keep to the pairs that were there.

    Args:
        features: of the n generated molecules.
        embedding: of the same by ChemNet, shape (n, 512).
        own: their summary.
        reference: the summary of the reference.
        draws: number of bootstrap sets, at least 2.
        generator: source of randomness.
    """
    from scipy.stats import wasserstein_distance

    from graphtide.molecules.metrics.similarity import highest_and_total

    count = len(features.smiles)
    weights = generator.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)
    nearest, _ = highest_and_total(own.fingerprints, reference.fingerprints, False)
    values: dict[str, np.ndarray] = {
        "nearest_neighbour_similarity": weights @ nearest / count,
        # Each molecule enters a mean over pairs twice: as the one and as the other.
        "internal_diversity": 2.0 * weights @ own.similar / count,
        "scaffold_similarity": _cosines(features.scaffolds, reference.scaffolds, weights),
        "fragment_similarity": _cosines(features.fragments, reference.fragments, weights),
    }
    gaps = weights @ features.neighbourhoods / count - reference.neighbourhoods
    values["neighbourhood_mmd"] = (gaps**2).sum(axis=1)
    values["descriptor_kl"] = _kl_scores(own, reference, weights).mean(axis=0)
    aim = (reference.mean, reference.covariance)
    values["fcd"] = np.array(
        [frechet_distance(aim, mean_and_covariance(embedding, one)) for one in weights]
    )
    for name, column in _WASSERSTEIN.items():
        place = DESCRIPTORS.index(column)
        mine, theirs = own.descriptors[:, place], reference.descriptors[:, place]
        values[name] = np.array(
            [wasserstein_distance(mine, theirs, u_weights=one) for one in weights]
        )
    return {name: float(values[name].std(ddof=1)) for name in DISTANCES}


def _cosines(
    names: Sequence[Sequence[str]], reference: Mapping[str, float], weights: np.ndarray
) -> np.ndarray:
    """Return the cosine to the reference's counts for each row of weights, shape (draws,)."""
    from scipy.sparse import csr_array

    place = {name: k for k, name in enumerate(dict.fromkeys(n for own in names for n in own))}
    if not place or not reference:
        return np.full(len(weights), np.nan)
    columns = [place[name] for own in names for name in own]
    pointers = np.cumsum([0, *(len(own) for own in names)])
    table = csr_array((np.ones(len(columns)), columns, pointers), shape=(len(names), len(place)))
    counts = weights @ table  # (draws, names)
    aim = np.array([reference.get(name, 0.0) for name in place])
    length = np.sqrt(sum(count**2 for count in reference.values()))
    return counts @ aim / np.maximum(np.linalg.norm(counts, axis=1) * length, _TINY)


def _kl_scores(own: Summary, reference: Summary, weights: np.ndarray | None = None) -> np.ndarray:
    """Return exp(-KL) for each descriptor and the nearest similarity: (10,), or (10, draws)."""
    every = np.ones((1, len(own.descriptors))) if weights is None else weights
    scores = []
    for k, name in enumerate(DESCRIPTORS[:9]):
        mine, theirs = own.descriptors[:, k], reference.descriptors[:, k]
        density = _smooth if name in _CONTINUOUS else _histogram
        scores.append(_exp_minus_kl(*density(mine, theirs, every)))
    scores.append(_exp_minus_kl(*_smooth(own.nearest, reference.nearest, every)))
    stacked = np.array(scores)
    return stacked[:, 0] if weights is None else stacked


def _exp_minus_kl(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return exp(-KL(theirs | mine)) for each row of mine, (draws, points)."""
    p = (theirs + _TINY) / (theirs + _TINY).sum()
    q = (mine + _TINY) / (mine + _TINY).sum(axis=1, keepdims=True)
    return np.exp(-(p * np.log(p / q)).sum(axis=1))


def _smooth(
    mine: np.ndarray, theirs: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian kernel densities, bandwidth by Scott's rule, on a common grid."""
    if np.ptp(mine) == 0 or np.ptp(theirs) == 0:
        # A density of one single value has no width: compare as counts.
        return _histogram(mine, theirs, weights)
    low, high = min(mine.min(), theirs.min()), max(mine.max(), theirs.max())
    grid = np.linspace(low, high, _POINTS)
    return _density(mine, grid, weights), _density(theirs, grid, np.ones((1, len(theirs))))[0]


def _density(values: np.ndarray, grid: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the density at each point of the grid for each row of weights, (draws, points)."""
    width = values.std(ddof=1) * len(values) ** -0.2
    total = np.zeros((len(weights), len(grid)))
    for start in range(0, len(values), 2000):
        part = slice(start, start + 2000)
        kernel = np.exp(-0.5 * ((values[part, None] - grid) / width) ** 2)  # (molecules, points)
        total += weights[:, part] @ kernel
    return total / (len(values) * width * np.sqrt(2 * np.pi))


def _histogram(
    mine: np.ndarray, theirs: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return densities in ten bins over the range of both sets."""
    edges = np.histogram_bin_edges(np.concatenate([mine, theirs]), bins=_BINS)
    counts = [np.histogram(mine, edges, weights=row, density=True)[0] for row in weights]
    return np.array(counts), np.histogram(theirs, edges, density=True)[0]
