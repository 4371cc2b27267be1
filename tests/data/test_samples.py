"""The samples inside the package are what their cards say."""

import gzip
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import graphtide.data
from graphtide.data import esol, qm9_sample, zinc250k_sample

FOLDER = Path(graphtide.data.__file__).parent


@pytest.mark.parametrize("name", ["zinc250k", "qm9", "esol"])
def test_the_card_gives_the_checksum_of_the_sample(name):
    card = (FOLDER / name / "CARD.md").read_text(encoding="utf-8")
    stated = re.search(r"^([0-9a-f]{64})  sample\.csv", card, flags=re.MULTILINE)
    data = gzip.decompress((FOLDER / name / "sample.csv.gz").read_bytes())
    assert stated is not None
    assert stated.group(1) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("sample", [zinc250k_sample, qm9_sample])
def test_every_molecule_is_distinct_and_parses(sample):
    from rdkit import Chem

    molecules = [Chem.MolFromSmiles(text) for text in sample()["smiles"]]
    assert len(molecules) == 5000
    assert None not in molecules
    assert len({Chem.MolToSmiles(one) for one in molecules}) > 4990


def test_the_properties_of_qm9_are_consistent():
    sample = qm9_sample()
    assert np.isfinite(sample.drop(columns=["smiles"]).to_numpy(dtype=float)).all()
    assert np.abs(sample["lumo"] - sample["homo"] - sample["gap"]).max() < 2e-4
    # Enthalpy is inner energy + RT at 298.15 K (Hartree).
    assert np.abs(sample["h298"] - sample["u298"] - 0.000944).max() < 2e-6


def test_delaneys_model_agrees_with_the_measured_solubility():
    table = esol()
    assert np.isfinite(table[["solubility", "solubility_delaney"]].to_numpy()).all()
    # A linear model in four descriptors that was fitted to most of these molecules.
    r = np.corrcoef(table["solubility"], table["solubility_delaney"])[0, 1]
    assert 0.75 < r**2 < 0.88
    assert np.abs(table["solubility"] - table["solubility_delaney"]).mean() < 0.75
