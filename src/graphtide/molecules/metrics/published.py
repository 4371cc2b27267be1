"""Published figures of other generators, as their papers and others' tables state them.

They were not computed here: papers differ in the reference set, in the number of samples and in
whether a repaired molecule counts, so read them as levels, not as a ranking. ``note`` says what
differs. Shares are fractions, not per cent.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PUBLISHED", "PublishedFigures"]


@dataclass(frozen=True, slots=True)
class PublishedFigures:
    """What a publication says of a generator; None where it says nothing."""

    model: str
    validity: float | None
    uniqueness: float | None
    fcd: float | None
    source: str
    neighbourhood_mmd: float | None = None
    novelty: float | None = None
    note: str = ""


_DEFOG8 = "DeFoG (arXiv 2410.04263 v3), table 8"
_DEFOG9 = "DeFoG (arXiv 2410.04263 v3), table 9"
_DEFOG11 = "DeFoG (arXiv 2410.04263 v3), table 11"
_EGO = "EGO (preprint, 2026), table 14"
_MOSES = "MOSES, README of molecularsets/moses"
_G2PT = "G2PT, table 4"
_TEST = "FCD against MOSES' test set"
_SCAFFOLDS = "FCD against MOSES' scaffold test set"

PUBLISHED: dict[str, tuple[PublishedFigures, ...]] = {
    "qm9": (
        PublishedFigures("training set itself", 0.993, 0.992, 0.03, _DEFOG8),
        PublishedFigures("GraphNVP", 0.831, 0.992, None, _DEFOG8),
        PublishedFigures(
            "MoFlow", 1.0, 0.993, None, "MoFlow, README of its code", note="after correction"
        ),
        PublishedFigures("SPECTRE", 0.873, 0.357, None, _DEFOG8),
        PublishedFigures("GDSS", 0.9572, 0.985, 2.900, _DEFOG8),
        PublishedFigures("DiGress", 0.990, 0.962, None, _DEFOG8),
        PublishedFigures("GruM", 0.992, 0.967, 0.108, _DEFOG8),
        PublishedFigures(
            "CatFlow", 0.9981, 0.9995, 0.441, _DEFOG8, note="a relaxed notion of validity"
        ),
        PublishedFigures("Cometh", 0.996, 0.968, 0.25, _DEFOG8),
        PublishedFigures("DeFoG, 500 steps", 0.993, 0.963, 0.12, _DEFOG8),
        PublishedFigures("G2PT", 0.990, 0.968, 0.06, _G2PT),
    ),
    "zinc250k": (
        PublishedFigures(
            "MoFlow", 0.6311, 0.9999, None, "as later papers quote it", note="before correction"
        ),
        PublishedFigures("GDSS", 0.9701, 0.9964, 14.66, _EGO),
        PublishedFigures(
            "DiGress", 0.9499, 0.9997, 3.48, _EGO, note="as trained by GruM's authors"
        ),
        PublishedFigures("GruM", 0.9865, 0.9997, 2.257, _DEFOG11, neighbourhood_mmd=0.0015),
        PublishedFigures("CatFlow", 0.9921, 1.0, 13.21, _DEFOG11),
        PublishedFigures(
            "DeFoG, 500 steps", 0.9922, 0.9999, 1.425, _DEFOG11, neighbourhood_mmd=0.0008
        ),
    ),
    "moses": (
        PublishedFigures("training set itself", 1.0, 1.0, 0.008, _MOSES, novelty=0.0, note=_TEST),
        PublishedFigures("CharRNN", 0.975, 0.999, 0.073, _MOSES, novelty=0.842, note=_TEST),
        PublishedFigures("VAE on SMILES", 0.977, 0.998, 0.099, _MOSES, novelty=0.695, note=_TEST),
        PublishedFigures("AAE", 0.937, 0.997, 0.556, _MOSES, novelty=0.793, note=_TEST),
        PublishedFigures("JT-VAE", 1.0, 0.9996, 0.395, _MOSES, novelty=0.914, note=_TEST),
        PublishedFigures("LatentGAN", 0.897, 0.997, 0.297, _MOSES, novelty=0.950, note=_TEST),
        PublishedFigures("GraphInvent", 0.964, 0.998, 1.22, _DEFOG9, note=_SCAFFOLDS),
        PublishedFigures("DiGress", 0.857, 1.0, 1.19, _DEFOG9, novelty=0.950, note=_SCAFFOLDS),
        PublishedFigures(
            "DeFoG, 500 steps", 0.928, 0.999, 1.95, _DEFOG9, novelty=0.921, note=_SCAFFOLDS
        ),
        PublishedFigures("G2PT, base", 0.964, 1.0, 0.97, _G2PT, novelty=0.860, note=_SCAFFOLDS),
    ),
}
"""Published figures by the set of molecules that the models learned."""
