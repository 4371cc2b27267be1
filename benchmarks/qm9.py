"""Generation on QM9: three generators, some minutes of training each, against held-out molecules.

The split is that of generation.py. Novelty is against the training part only: QM9 enumerates
nearly all small molecules of its kind, so that what is novel and of its kind is mostly held-out
molecules, and a perfect model's novelty is low.

    python benchmarks/qm9.py --data DATA [--minutes 15] [--models construction flow_matching flow]
        [--steps 10 25 50 100]
    python benchmarks/qm9.py --data DATA --models peers round_trip

DATA holds molecules/qm9.csv.gz and molecules/peer_samples/digress_qm9.smi.gz. ``peers`` scores
DiGress's own published samples with the same metrics (their file keeps the largest piece of each);
``round_trip`` turns all molecules into typed graphs, and into actions, and back. Flow matching is
sampled with each number of steps beside its own. Figures are printed and written to
benchmarks/results/qm9.json, one entry a model.
"""

from __future__ import annotations

import numpy as np
from generation import Split, curve_of_steps, keep, parser, run_model

from graphtide.molecules.building import Building, walk
from graphtide.molecules.chemistry import canonical_smiles, to_smiles
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.files import read_molecules
from graphtide.molecules.traversal import Actions, traverse


def main() -> None:
    """Run what is asked for and keep each model's figures."""
    options = parser("Generation on QM9.")
    options.add_argument("--minutes", type=float, default=15.0)
    options.add_argument("--models", nargs="+", default=["construction", "flow_matching", "flow"])
    options.add_argument("--steps", type=int, nargs="*", default=[10, 25, 50, 100])
    asked = options.parse_args()
    folder = asked.data / "molecules"
    smiles = read_molecules(folder / "qm9.csv.gz").smiles
    split = Split.of(smiles)
    for name in asked.models:
        if name == "round_trip":
            figures = round_trip(smiles)
        elif name == "peers":
            theirs = read_molecules(folder / "peer_samples" / "digress_qm9.smi.gz")
            figures = split.score(theirs.smiles)
        else:
            model, figures = run_model(name, split, asked.minutes, asked)
            if name == "flow_matching":
                for curve in curve_of_steps(model, split, asked.steps, asked):
                    figures["steps_of_sampling"] = curve
                    keep(asked.results, "qm9", name, figures)
        keep(asked.results, "qm9", name, figures)


def round_trip(smiles: tuple[str, ...]) -> dict[str, object]:
    """Turn every molecule into a graph and into actions, and back."""
    corpus = Corpus.from_smiles(smiles)
    lost, wrong = [], []
    lines = corpus.encoded.lines
    found = traverse(corpus)
    actions = Actions.of(corpus, found)
    rules, numbered = actions.rules(), actions.places(found)
    for first in range(0, len(corpus), 2000):
        rows = np.arange(first, min(first + 2000, len(corpus)))
        state = Building.empty(len(rows), actions.most_atoms)
        walk(rules, state, numbered.padded(rows))
        for place, index in enumerate(rows):
            text = canonical_smiles(smiles[lines[index] - 1])
            if corpus.smiles(int(index)) != text:
                lost.append(text)
            types, bonds = state.molecule(place)
            if to_smiles([actions.vocabulary[k] for k in types], bonds) != text:
                wrong.append(text)
    return {
        "molecules": len(smiles),
        "encoded": len(corpus),
        "notices": len(corpus.notices),
        "graphs_not_the_same": lost,
        "actions_not_the_same": wrong,
    }


if __name__ == "__main__":
    main()
