"""The exact-likelihood flow's latent space: what comes back, what the order of nodes costs, walks.

    python benchmarks/flow_latent.py RUN --molecules qm9.csv.gz [--orders 500] [--walks 200]

RUN is a run of `graphtide molecules fit --model flow`. Recorded are: how many molecules come back
from latent space with every type and every bond (all that the flow's size admits); the mean
negative log-likelihood of molecules in the canonical order of their nodes, in orders of random
depth-first traversals and in random permutations, with how many samples are drawn in canonical
order; and of straight walks between random pairs, the similarity (Tanimoto, Morgan fingerprints of
radius 2) of neighbouring molecules, and of the ends.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from rdkit.DataStructs import TanimotoSimilarity

from graphtide.molecules.chemistry import TypedGraph, parse_smiles, to_molecule, typed_graph
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.files import read_molecules
from graphtide.molecules.flow import Flow
from graphtide.molecules.generator import load_generator
from graphtide.run import Run

RESULTS = Path(__file__).parent / "results" / "flow_latent.json"


def reconstruction(model: Flow, corpus: Corpus, *, chunk: int = 5000) -> dict[str, float]:
    """Return how many molecules of a corpus come back from latent space, exactly."""
    began, same, known = time.process_time(), 0, 0
    usable = np.flatnonzero(np.asarray(corpus.sizes) <= model.most_atoms)
    for at in range(0, len(usable), chunk):
        graphs = [corpus.graph(int(k)) for k in usable[at : at + chunk]]
        again = model.decode(model.encode(graphs))
        known += len(graphs)
        same += sum(
            one.types == two.types and np.array_equal(one.bonds, two.bonds)
            for one, two in zip(graphs, again, strict=True)
        )
    return {
        "molecules": len(corpus),
        "encoded": known,
        "reconstructed": same,
        "cpu_seconds": time.process_time() - began,
    }


def orders(model: Flow, corpus: Corpus, *, number: int = 500) -> dict[str, float]:
    """Return mean negative log-likelihoods (nats) of molecules under three orders of nodes."""
    generator = np.random.default_rng(0)
    chosen = generator.choice(len(corpus), size=min(number, len(corpus)), replace=False)
    graphs = [corpus.graph(int(k)) for k in chosen]
    traversed, permuted = [], []
    for graph in graphs:
        molecule = to_molecule(graph.types, graph.bonds)
        text = Chem.MolToSmiles(molecule, doRandom=True)
        del text  # writing it puts the order of its atoms beside it
        found = molecule.GetPropsAsDict(includePrivate=True, includeComputed=True)
        order = np.array(list(found["_smilesAtomOutputOrder"]))
        traversed.append(reordered(graph, order))
        permuted.append(reordered(graph, generator.permutation(len(graph.types))))
    drawn = [graph for part in model.draw(1000) for graph in model.graphs(part.rows)]
    valid = canonical = 0
    for graph in drawn:
        try:
            again = typed_graph(to_molecule(graph.types, graph.bonds))
        except ValueError:
            continue
        valid += 1
        canonical += again.types == graph.types and np.array_equal(again.bonds, graph.bonds)
    return {
        "canonical": float(-model.log_likelihood(graphs).mean()),
        "random_traversal": float(-model.log_likelihood(traversed).mean()),
        "random_permutation": float(-model.log_likelihood(permuted).mean()),
        "share_of_samples_in_canonical_order": canonical / max(1, valid),
    }


def reordered(graph: TypedGraph, order: np.ndarray) -> TypedGraph:
    """Return the graph whose node i is node order[i]."""
    place = np.argsort(order)
    ends = np.sort(place[graph.bonds[:, :2]], axis=1)
    bonds = np.column_stack([ends, graph.bonds[:, 2]]).astype(np.int16)
    bonds = bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))]
    return TypedGraph(tuple(graph.types[k] for k in order), bonds)


def walks(model: Flow, corpus: Corpus, *, number: int = 200, points: int = 17) -> dict[str, float]:
    """Return how alike neighbours on straight walks between random molecules are, and the ends."""
    generator = np.random.default_rng(1)
    prints = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    pairs = generator.choice(len(corpus), size=(number, 2))
    neighbours, ends, different, whole = [], [], [], []
    for first, last in pairs.tolist():
        path = model.interpolate(corpus.smiles(first), corpus.smiles(last), points)
        marks = [prints.GetCountFingerprint(parse_smiles(text)) for text in path if text]
        alike = [TanimotoSimilarity(a, b) for a, b in itertools.pairwise(marks)]
        neighbours.append(float(np.mean(alike)))
        ends.append(TanimotoSimilarity(marks[0], marks[-1]))
        different.append(len(set(path)))
        whole.append(len(marks) / points)
    return {
        "points": points,
        "similarity_of_neighbours": float(np.mean(neighbours)),
        "similarity_of_ends": float(np.mean(ends)),
        "different_molecules_of_a_walk": float(np.mean(different)),
        "valid": float(np.mean(whole)),
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description="The latent space of the exact-likelihood flow.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--molecules", type=Path, required=True, help="file of molecules")
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--walks", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_generator(Run.open(options.run))
    if not isinstance(model, Flow):
        raise SystemExit(f"{options.run} holds no flow")
    corpus = Corpus.from_smiles(read_molecules(options.molecules).smiles)
    result = {
        "molecules": options.molecules.name,
        "reconstruction": reconstruction(model, corpus),
        "negative_log_likelihood_by_order": orders(model, corpus, number=options.orders),
        "walks": walks(model, corpus, number=options.walks),
    }
    print(json.dumps(result, indent=2))
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
