"""What an optimiser of molecules is asked to raise, and what it must keep to.

A text names an objective (`parse_objective`): QED, penalised logP, similarity to a molecule, the
goal-directed tasks of the literature, a learned property, a function of one's own, and sums,
products and Pareto sets of these. `Filters` say which molecules count at all.
"""

from graphtide.molecules.objectives.base import MoleculeObjective, Objective, UndefinedValue
from graphtide.molecules.objectives.combinations import GeometricMean, Pareto, Product, WeightedSum
from graphtide.molecules.objectives.filters import Filters
from graphtide.molecules.objectives.function import FunctionObjective
from graphtide.molecules.objectives.learned import LearnedObjective
from graphtide.molecules.objectives.parsing import known_objectives, parse_objective
from graphtide.molecules.objectives.properties import PenalisedLogP, Qed, Similarity
from graphtide.molecules.objectives.tasks import GoalDirectedTask

__all__ = [
    "Filters",
    "FunctionObjective",
    "GeometricMean",
    "GoalDirectedTask",
    "LearnedObjective",
    "MoleculeObjective",
    "Objective",
    "Pareto",
    "PenalisedLogP",
    "Product",
    "Qed",
    "Similarity",
    "UndefinedValue",
    "WeightedSum",
    "known_objectives",
    "parse_objective",
]
