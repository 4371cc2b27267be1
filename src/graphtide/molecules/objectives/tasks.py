"""Goal-directed tasks of the literature that need RDKit alone, each from 0 to 1.

Twenty of the 23 of the benchmark of practical molecular optimisation (Gao, Fu, Sun, Coley, NeurIPS
2022), which took them from GuacaMol (Brown, Fiscato, Segler, Vaucher, J. Chem. Inf. Model. 59,
2019; tables of its supporting information). The other three, DRD2, GSK3B and JNK3, are classifiers
that cannot be read any more. Each is the geometric or arithmetic mean of the scores of its terms.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from rdkit import Chem
from rdkit.Chem import QED

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.objectives.base import MoleculeObjective
from graphtide.molecules.objectives.terms import (
    Number,
    at_least,
    at_most,
    bell,
    clipped,
    complexity,
    count,
    formula_terms,
    logp,
    matches,
    polar_surface,
    rings,
    rings_aromatic,
    similarity_to,
)

__all__ = ["DESCRIPTIONS", "TARGETS", "GoalDirectedTask"]

TARGETS = {
    "albuterol": "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1",
    "amlodipine": "Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\\C(=O)OC",
    "camphor": "CC1(C)C2CCC1(C)C(=O)C2",
    "celecoxib": "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F",
    "fexofenadine": "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4",
    "hop": "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C",
    "menthol": "CC(C)C1CCC(C)CC1O",
    "mestranol": "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1",
    "osimertinib": "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34",
    "perindopril": "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC",
    "ranolazine": "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2",
    "sildenafil": "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C",
    "sitagliptin": "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F",
    "tadalafil": "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C",
    "thiothixene": "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1",
    "troglitazone": "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O",
    "zaleplon": "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1",
}
"""SMILES of the molecules that tasks refer to."""

DESCRIPTIONS = {
    "albuterol_similarity": "similarity to albuterol, full from 0.75 (features of 4 bonds)",
    "amlodipine_mpo": "like amlodipine, with 3 rings",
    "celecoxib_rediscovery": "find celecoxib: similarity to it (neighbourhoods of 4 bonds)",
    "deco_hop": "keep a scaffold and pharmacophores, replace two decorations",
    "fexofenadine_mpo": "like fexofenadine, polar surface 90 or more, logP 4 or less",
    "isomers_c7h8n2o2": "any isomer of C7H8N2O2",
    "isomers_c9h10n2o2pf2cl": "any isomer of C9H10N2O2PF2Cl",
    "median1": "like camphor and like menthol",
    "median2": "like tadalafil and like sildenafil",
    "mestranol_similarity": "similarity to mestranol, full from 0.75 (pairs of atoms)",
    "osimertinib_mpo": "like osimertinib but not too much, polar surface 100 or more, logP 1 or "
    "less",
    "perindopril_mpo": "like perindopril, with 2 aromatic rings",
    "qed": "drug-likeness",
    "ranolazine_mpo": "like ranolazine, polar surface 95 or more, logP 7 or more, one fluorine",
    "scaffold_hop": "keep decorations and pharmacophores, replace the scaffold",
    "sitagliptin_mpo": "unlike sitagliptin, with its formula, logP and polar surface",
    "thiothixene_rediscovery": "find thiothixene: similarity to it (neighbourhoods of 4 bonds)",
    "troglitazone_rediscovery": "find troglitazone: similarity to it (neighbourhoods of 4 bonds)",
    "valsartan_smarts": "a pattern of valsartan with logP, polar surface and complexity of "
    "sitagliptin",
    "zaleplon_mpo": "like zaleplon, with the formula C19H17N3O2",
}
"""What each task asks for, in words."""

_CORE = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"
_SULFONE = "CS([#6])(=O)=O"
_BENZOTHIAZOLE = "[#7]-c1ccc2ncsc2c1"
_DECORATION = f"[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-{_BENZOTHIAZOLE}"
_VALSARTAN = "CN(C=O)Cc1ccc(c2ccccc2)cc1"


@dataclass(frozen=True)
class GoalDirectedTask(MoleculeObjective):
    """A goal-directed task by name.

    Args:
        name: a key of ``DESCRIPTIONS``.

    Raises:
        InputError: there is no such task.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in DESCRIPTIONS:
            raise InputError(
                f"there is no task '{self.name}'; the tasks are {', '.join(DESCRIPTIONS)}"
            )

    def score(self, molecule: Chem.Mol) -> float:
        """Return the mean of the scores of the task's terms."""
        arithmetic, terms = _terms(self.name)
        if arithmetic:
            return math.fsum(term(molecule) for term in terms) / len(terms)
        # Terms stand with the cheap ones first; one that is zero decides.
        product = 1.0
        for term in terms:
            product *= term(molecule)
            if product == 0.0:
                return 0.0
        return product ** (1.0 / len(terms))


@functools.cache
def _terms(name: str) -> tuple[bool, tuple[Number, ...]]:
    """Return whether the mean is arithmetic (else geometric), and the terms."""
    if name == "qed":
        return False, (QED.qed,)
    if name.endswith("_rediscovery"):
        return False, (_similar(name.removesuffix("_rediscovery"), "ECFC4"),)
    if name.startswith("isomers_"):
        formula = {"c7h8n2o2": "C7H8N2O2", "c9h10n2o2pf2cl": "C9H10N2O2PF2Cl"}
        return False, formula_terms(formula[name.removeprefix("isomers_")])
    if name in ("deco_hop", "scaffold_hop"):
        return True, _hop(name == "scaffold_hop")
    terms: dict[str, tuple[Number, ...]] = {
        "albuterol_similarity": (clipped(_similar("albuterol", "FCFC4"), 0.75),),
        "mestranol_similarity": (clipped(_similar("mestranol", "AP"), 0.75),),
        "median1": (_similar("camphor", "ECFC4"), _similar("menthol", "ECFC4")),
        "median2": (_similar("tadalafil", "ECFC6"), _similar("sildenafil", "ECFC6")),
        "osimertinib_mpo": (
            at_least(polar_surface, 100, 10),
            at_most(logp, 1, 1),
            clipped(_similar("osimertinib", "FCFC4"), 0.8),
            at_most(_similar("osimertinib", "ECFC6"), 0.85, 0.1),
        ),
        "fexofenadine_mpo": (
            at_least(polar_surface, 90, 10),
            at_most(logp, 4, 1),
            clipped(_similar("fexofenadine", "AP"), 0.8),
        ),
        "ranolazine_mpo": (
            bell(count("F"), 1, 1),
            at_least(polar_surface, 95, 20),
            at_least(logp, 7, 1),
            clipped(_similar("ranolazine", "AP"), 0.7),
        ),
        "perindopril_mpo": (bell(rings_aromatic, 2, 0.5), _similar("perindopril", "ECFC4")),
        "amlodipine_mpo": (bell(rings, 3, 0.5), _similar("amlodipine", "ECFC4")),
    }
    return False, terms[name] if name in terms else _matched_to_sitagliptin_or_zaleplon(name)


def _matched_to_sitagliptin_or_zaleplon(name: str) -> tuple[Number, ...]:
    if name == "zaleplon_mpo":
        return _all_of(formula_terms("C19H17N3O2")), _similar("zaleplon", "ECFC4")
    sitagliptin = parse_smiles(TARGETS["sitagliptin"])
    near = (
        bell(polar_surface, polar_surface(sitagliptin), 5),
        bell(logp, logp(sitagliptin), 0.2),
    )
    if name == "valsartan_smarts":
        return matches(_VALSARTAN), *near, bell(complexity, complexity(sitagliptin), 30)
    unlike = bell(_similar("sitagliptin", "ECFC4"), 0, 0.1)
    return _all_of(formula_terms("C16H15F6N5O")), *near, unlike


def _hop(scaffold: bool) -> tuple[Number, ...]:
    """Return the terms of the scaffold hop, or those of the decoration hop."""
    similar = clipped(_similar("hop", "PHCO"), 0.75 if scaffold else 0.85)
    if scaffold:
        return similar, matches(_DECORATION), matches(_CORE, wanted=False)
    gone = (matches(_SULFONE, wanted=False), matches(_BENZOTHIAZOLE, wanted=False))
    return similar, *gone, matches(_CORE)


def _similar(target: str, kind: str) -> Number:
    return similarity_to(TARGETS[target], kind)


def _all_of(terms: tuple[Number, ...]) -> Number:
    """Return the geometric mean of terms, as one term."""
    return lambda molecule: math.prod(term(molecule) for term in terms) ** (1.0 / len(terms))
