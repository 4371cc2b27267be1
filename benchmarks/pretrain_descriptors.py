"""Make the encoder that ships with graphtide: message passing that predicts RDKit's descriptors.

Molecules: ZINC250k, QM9, and fragments of ZINC250k (acyclic single bonds cut, closed with
hydrogens), so that small molecules with halogens and sulfur are known too. No measured property is
seen. It can be interrupted and goes on: the table of descriptors and the checkpoint are kept.

    python benchmarks/pretrain_descriptors.py --data FOLDER --work FOLDER --out encoder.safetensors

FOLDER holds zinc250k.smi.gz and qm9.csv.gz (column smiles).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rdkit import Chem
from rdkit.rdBase import BlockLogs
from torch import Tensor, nn

from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.prediction.descriptors import (
    DescriptorScale,
    descriptor_names,
    descriptor_table,
)
from graphtide.molecules.prediction.features import MolecularBatch, featurize
from graphtide.molecules.prediction.network import Encoder, EncoderSize
from graphtide.molecules.prediction.pretrained import save_encoder
from graphtide.nn.averaging import AveragedModel
from graphtide.training.loop import Checkpoint, train
from graphtide.training.schedule import cosine

BATCH = 128
HELD_OUT = 2000


def fragments(smiles: list[str], count: int, generator: np.random.Generator) -> list[str]:
    """Return pieces of 2 to 16 atoms from molecules cut at one to four acyclic single bonds."""
    pattern = Chem.MolFromSmarts("[!#1]-;!@[!#1]")
    found: set[str] = set()
    for k in generator.permutation(len(smiles)):
        molecule = Chem.RWMol(parse_smiles(smiles[k]))
        bonds = molecule.GetSubstructMatches(pattern)
        if not bonds:
            continue
        cuts = min(len(bonds), int(generator.integers(1, 5)))
        for place in generator.permutation(len(bonds))[:cuts]:
            molecule.RemoveBond(*bonds[place])
            for index in bonds[place]:
                atom = molecule.GetAtomWithIdx(index)
                if atom.GetNoImplicit() or atom.GetNumExplicitHs():
                    atom.SetNumExplicitHs(atom.GetNumExplicitHs() + 1)
        with BlockLogs():
            try:
                Chem.SanitizeMol(molecule)
            except Chem.MolSanitizeException:
                continue
            pieces = Chem.GetMolFrags(molecule, asMols=True)
        found |= {Chem.MolToSmiles(piece) for piece in pieces if 2 <= piece.GetNumAtoms() <= 16}
        if len(found) >= count:
            break
    made = sorted(found)
    return [made[k] for k in generator.permutation(len(made))[:count]]


def draw(data: Path, zinc_count: int, qm9_count: int, fragment_count: int) -> list[str]:
    """Return the molecules of the pretraining in random order."""
    generator = np.random.default_rng(0)
    with gzip.open(data / "zinc250k.smi.gz", "rt") as stream:
        zinc = [line.split()[0] for line in stream if line.strip()]
    with gzip.open(data / "qm9.csv.gz", "rt") as stream:
        qm9 = [row["smiles"] for row in csv.DictReader(stream)]
    chosen = [zinc[k] for k in generator.permutation(len(zinc))[:zinc_count]]
    chosen += [qm9[k] for k in generator.permutation(len(qm9))[:qm9_count]]
    chosen += fragments(zinc, fragment_count, generator)
    return [chosen[k] for k in generator.permutation(len(chosen))]


class DescriptorModel(nn.Module):
    """The encoder with a head for the descriptors."""

    def __init__(self, size: EncoderSize, descriptors: int) -> None:
        super().__init__()
        self.encoder = Encoder(size)
        self.head = nn.Linear(size.fingerprint, descriptors)

    def forward(self, batch: MolecularBatch) -> Tensor:
        """Return scaled descriptors, (M, D)."""
        return self.head(self.encoder(batch))


def main() -> None:
    """Draw molecules, compute their descriptors, train, and write the encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--zinc", type=int, default=65_000)
    parser.add_argument("--qm9", type=int, default=15_000)
    parser.add_argument("--fragments", type=int, default=25_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.workers)
    table_file = options.work / "descriptors.npz"
    if not table_file.is_file():
        smiles = draw(options.data, options.zinc, options.qm9, options.fragments)
        molecules = [parse_smiles(text) for text in smiles]
        table = descriptor_table(molecules, workers=options.workers).astype(np.float32)
        options.work.mkdir(parents=True, exist_ok=True)
        np.savez(table_file, smiles=np.array(smiles), table=table, names=descriptor_names())
    kept = np.load(table_file)
    smiles, table, names = kept["smiles"].tolist(), kept["table"], kept["names"].tolist()
    scale, columns = DescriptorScale.fit(table[HELD_OUT:].astype(np.float64), names)
    wanted = torch.from_numpy(scale.apply(table[:, columns].astype(np.float64)))
    known = torch.from_numpy(np.isfinite(table[:, columns]))
    features = [featurize(parse_smiles(text)) for text in smiles]
    print(f"{len(features)} molecules, {len(columns)} descriptors", flush=True)
    torch.manual_seed(0)
    size = EncoderSize()
    model = AveragedModel(DescriptorModel(size, len(columns)), 0.999)
    steps = (len(features) - HELD_OUT) // BATCH

    def batches(_epoch: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
        order = HELD_OUT + generator.permutation(len(features) - HELD_OUT)
        for k in range(steps):
            yield order[k * BATCH : (k + 1) * BATCH]

    def error(chosen: np.ndarray) -> Tensor:
        found = model(MolecularBatch.of([features[k] for k in chosen]))
        squares = (found - wanted[chosen]).square() * known[chosen]
        return squares.sum() / known[chosen].sum()

    def loss(chosen: np.ndarray) -> Tensor:
        model.train()
        model.update()
        return error(chosen)

    def score() -> float:
        model.eval()
        parts = np.array_split(np.arange(HELD_OUT), 10)
        return float(np.mean([float(error(part)) for part in parts]))

    began = time.process_time()
    total = steps * options.epochs

    def tell(_share: float, text: str) -> None:
        print(f"{time.process_time() - began:.0f} s {text}", flush=True)

    training = train(
        model,
        batches,
        loss,
        optimiser=torch.optim.AdamW(model.model.parameters(), lr=1e-3, weight_decay=1e-4),
        epochs=options.epochs,
        schedule=cosine(total, warmup=min(400, total // 20), last=0.01),
        clip=1.0,
        score=score,
        checkpoint=Checkpoint(options.work / "checkpoint.safetensors"),
        progress=tell,
        seed=0,
    )
    with torch.no_grad():
        for weight, mean in zip(model.model.parameters(), model.means(), strict=True):
            weight.copy_(mean)
    made = model.model
    assert isinstance(made, DescriptorModel)
    save_encoder(options.out, made.encoder, held_out_error=training.best_score)
    print(f"held-out mean square of scaled descriptors {training.best_score:.4f}")


if __name__ == "__main__":
    main()
