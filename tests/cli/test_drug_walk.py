"""The walk through drug discovery in the docs, on a small budget."""

import csv
import re
import shlex
from pathlib import Path

from rdkit import Chem
from rdkit.Chem import QED

from graphtide.data import esol
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.optimization.told import fragment_counts, tanimoto

PAGE = (Path(__file__).parents[2] / "docs/molecules_optimize.md").read_text(encoding="utf-8")


def test_the_walk_raises_solubility_near_the_leads(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walk = PAGE[PAGE.index("## A walk") :]
    (code,) = re.findall(r"```py\n(.*?)```", walk, flags=re.DOTALL)
    exec(compile(code, "walk", "exec"), {})
    leads = (tmp_path / "leads.smi").read_text().split()
    assert len(leads) == 20
    (tmp_path / "leads.smi").write_text("\n".join(leads[:4]) + "\n")
    esol().iloc[::14].to_csv(tmp_path / "esol.csv", index=False)
    (commands,) = re.findall(r"```sh\n(.*?)```", walk, flags=re.DOTALL)
    (checking,) = re.findall(r"`(graphtide molecules predict .*?)`", walk, flags=re.DOTALL)
    small = {"esol": "esol.csv", "2": "0", "2000": "60"}
    for command in [*commands.strip().split("\n"), checking]:
        words = [small.get(word, word) for word in shlex.split(command)[1:]]
        status, _, said = call(*words)
        assert status == 0, said
    core = Chem.MolFromSmiles("NS(=O)(=O)c1ccccc1")
    with (tmp_path / "better/calls.csv").open(encoding="utf-8") as stream:
        calls = list(csv.DictReader(stream))
    assert len(calls) == 60
    for row in calls:
        lead = parse_smiles(leads[int(row["lead"]) - 1])
        molecule = parse_smiles(row["smiles"])
        assert tanimoto(fragment_counts(lead), fragment_counts(molecule)) >= 0.4
        assert molecule.HasSubstructMatch(core)
        assert QED.qed(molecule) >= 0.5
    with (tmp_path / "better/best.csv").open(encoding="utf-8") as stream:
        assert all(float(row["gain"]) > 0 for row in csv.DictReader(stream))
    assert (tmp_path / "better/report.html").is_file()
    with (tmp_path / "checked.csv").open(encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == 10
