"""Each metric: what it is, against which molecules, which direction is better, and who defined it.

The share metrics count everything that was generated, molecules that failed included; uniqueness
and novelty, as the literature defines them, are shares of the valid and of the distinct molecules,
and stand beside one figure of all three over everything generated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DEFINITIONS", "Definition"]

Direction = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric means.

    Attributes:
        label: name for readers.
        text: the definition in one sentence.
        against: the molecules it compares with: nothing, the reference, or the training molecules.
        direction: which direction is better.
        source: publication.
        distance: whether it has a floor, real molecules against real molecules.
    """

    label: str
    text: str
    against: Literal["nothing", "reference", "training"]
    direction: Direction
    source: str
    distance: bool = False


_MOSES = "Polykovskiy et al., Front. Pharmacol. 11, 2020 (MOSES)"
_GUACAMOL = "Brown et al., J. Chem. Inf. Model. 59, 2019 (GuacaMol)"


def _wasserstein(what: str, source: str) -> Definition:
    return Definition(
        f"Wasserstein distance of {what}",
        f"the mean shift of {what} that turns one distribution into the other",
        "reference",
        "lower",
        source,
        distance=True,
    )


DEFINITIONS = {
    "validity": Definition(
        "validity",
        "share of everything generated that RDKit parses with correct valences",
        "nothing",
        "higher",
        _MOSES,
    ),
    "validity_before_correction": Definition(
        "validity before correction",
        "the same for the molecules as they came, before any repair",
        "nothing",
        "higher",
        "Jo, Lee, Hwang, ICML 2022 (GDSS)",
    ),
    "connectivity": Definition(
        "connectivity",
        "share of everything generated that is valid and in one piece",
        "nothing",
        "higher",
        "Vignac et al., ICLR 2023 (DiGress)",
    ),
    "uniqueness": Definition(
        "uniqueness", "distinct molecules among the valid", "nothing", "higher", _MOSES
    ),
    "novelty": Definition(
        "novelty",
        "share of the distinct valid molecules that are not in the training set",
        "training",
        "neither",
        _MOSES,
    ),
    "valid_unique": Definition(
        "valid and unique",
        "distinct valid molecules over everything generated",
        "nothing",
        "higher",
        "Simonovsky & Komodakis, ICANN 2018",
    ),
    "valid_unique_novel": Definition(
        "valid, unique and novel",
        "distinct valid molecules that are not in the training set over everything generated",
        "training",
        "neither",
        "Simonovsky & Komodakis, ICANN 2018",
    ),
    "fcd": Definition(
        "FCD",
        "Fréchet distance between ChemNet's last hidden layer on both sets",
        "reference",
        "lower",
        "Preuer et al., J. Chem. Inf. Model. 58, 2018",
        distance=True,
    ),
    "neighbourhood_mmd": Definition(
        "NSPDK-type MMD",
        "squared maximum mean discrepancy under a kernel on pairs of neighbourhoods (radius to 2, "
        "distance to 4)",
        "reference",
        "lower",
        "after Costa & De Grave, ICML 2010",
        distance=True,
    ),
    "descriptor_kl": Definition(
        "KL of descriptors",
        "mean of exp(-KL) over nine descriptors and the similarity to the nearest neighbour within "
        "the set; 1 is alike",
        "reference",
        "higher",
        _GUACAMOL,
        distance=True,
    ),
    "scaffold_similarity": Definition(
        "scaffold similarity",
        "cosine between the counts of Murcko scaffolds of at least two rings",
        "reference",
        "higher",
        _MOSES,
        distance=True,
    ),
    "fragment_similarity": Definition(
        "fragment similarity",
        "cosine between the counts of BRICS fragments",
        "reference",
        "higher",
        _MOSES,
        distance=True,
    ),
    "nearest_neighbour_similarity": Definition(
        "nearest-neighbour similarity",
        "mean Tanimoto similarity of each molecule to its nearest one of the reference (Morgan "
        "fingerprints, radius 2, 1,024 bits)",
        "reference",
        "higher",
        _MOSES,
        distance=True,
    ),
    "internal_diversity": Definition(
        "internal diversity",
        "one minus the mean Tanimoto similarity of all pairs within the set; the floor is the "
        "reference's own",
        "nothing",
        "higher",
        "Benhenda 2017; MOSES, p = 1",
        distance=True,
    ),
    "synthetic_accessibility_distance": _wasserstein(
        "synthetic accessibility (1 easy, 10 hard)", "Ertl & Schuffenhauer, J. Cheminf. 1, 2009"
    ),
    "qed_distance": _wasserstein("drug-likeness (QED)", "Bickerton et al., Nature Chem. 4, 2012"),
    "logp_distance": _wasserstein(
        "octanol-water partition (log P)", "Wildman & Crippen, J. Chem. Inf. Comput. Sci. 39, 1999"
    ),
    "weight_distance": _wasserstein("molecular weight (Dalton)", _MOSES),
    "reconstruction": Definition(
        "reconstruction",
        "share of molecules that a model encodes and decodes to themselves",
        "nothing",
        "higher",
        "Jin, Barzilay, Jaakkola, ICML 2018",
    ),
}
"""All metrics, in the order in which they are shown."""
