"""The command ``molecules optimize``: what it finds, how it goes on, and clear words."""

import csv
import json

import numpy as np
import pytest

from graphtide.data import zinc250k_sample
from graphtide.molecules.chemistry import canonical_smiles, parse_smiles
from graphtide.molecules.objectives import Filters, Pareto, parse_objective
from graphtide.molecules.optimization import Oracle
from graphtide.molecules.optimization.choosing import MethodChoice
from graphtide.molecules.optimization.leads import LeadPlan, optimize_leads, search
from graphtide.molecules.optimization.told import fragment_counts, tanimoto
from graphtide.report.molecule_changes import changed_atoms, nearest_known

LEADS = list(zinc250k_sample()["smiles"][10:13])
MODULE = """
import time

def raises(smiles):
    raise ValueError("no value for " + smiles)

def nothing(smiles):
    return float("nan")

def hangs(smiles):
    if smiles != "CCO":
        time.sleep(60)
    return 1.0
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "leads.smi").write_text("\n".join([*LEADS, "nonsense", LEADS[0]]) + "\n")
    (tmp_path / "one.smi").write_text("CCO ethanol\n")
    (tmp_path / "none.smi").write_text("xx\nyy\n")
    (tmp_path / "empty.smi").write_text("")
    (tmp_path / "bad_scores.py").write_text(MODULE)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_lead_is_improved_within_its_neighbourhood(call, files, tmp_path):
    arguments = ("molecules", "optimize", "--start", "leads.smi", "--objective", "plogp")
    code, out, _ = call(*arguments, "--similarity", "0.4", "--budget", "90", "--out", "r", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["calls"] == 90
    assert found["calls_a_lead"] == 30
    assert found["leads"] == 3
    assert found["lines_set_aside"] == 2
    assert found["improved_share"] == 1.0
    assert found["mean_gain"] > 0.5
    assert "not normalised" in found["definition"]
    assert len(found["top_10"]) == 10
    calls = rows_of(tmp_path / "r/calls.csv")
    plogp = parse_objective("plogp")
    for row in calls:
        lead = LEADS[int(row["lead"]) - 1]
        assert tanimoto(fragment_counts(lead), fragment_counts(row["smiles"])) >= 0.4
        assert parse_smiles(row["smiles"]).GetNumAtoms() <= 38
        assert float(row["plogp"]) == pytest.approx(float(plogp([row["smiles"]])[0]))
    page = (tmp_path / "r/report.html").read_text(encoding="utf-8")
    for words in ("Before and after", "The climb", "What the gain costs", "nearest known molecule"):
        assert words in page
    assert not (tmp_path / "r/training").exists()


def test_two_objectives_share_a_front(call, files, tmp_path):
    arguments = ("molecules", "optimize", "--start", "leads.smi", "--method", "local")
    both = ("--objective", "qed", "--objective", "plogp", "--budget", "40", "--out", "r")
    code, out, _ = call(*arguments, *both)
    assert code == 0
    assert "pareto(qed, plogp)" in out
    page = (tmp_path / "r/report.html").read_text(encoding="utf-8")
    assert "The Pareto front" in page
    assert {"qed", "plogp"} <= set(rows_of(tmp_path / "r/calls.csv")[0])


class Interrupted(Exception):
    """Stands for the user's control-C."""


class Breaks:
    """An objective that is interrupted at a call."""

    def __init__(self, after):
        self.name = "plogp"
        self.left = after
        self.inner = parse_objective("plogp")

    def __call__(self, smiles):
        self.left -= len(smiles)
        if self.left < 0:
            raise KeyboardInterrupt
        return self.inner(smiles)


@pytest.mark.parametrize("after", [14, 27])
def test_a_search_goes_on_after_an_interruption_as_if_there_had_been_none(tmp_path, after):
    choice, start = MethodChoice("auto"), [canonical_smiles(text) for text in LEADS]

    def run(objective, log):
        oracle = Oracle(objective, 30, log=log)
        search(choice.make(start, filters=Filters(most_atoms=38), seed=3), oracle)
        return oracle.history

    whole = run(parse_objective("plogp"), tmp_path / "whole.csv")
    with pytest.raises(KeyboardInterrupt):
        run(Breaks(after), tmp_path / "calls.csv")
    assert len(rows_of(tmp_path / "calls.csv")) == after
    assert run(parse_objective("plogp"), tmp_path / "calls.csv") == whole
    assert (tmp_path / "calls.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_leads_go_on_after_an_interruption_as_if_there_had_been_none(tmp_path):
    leads = [canonical_smiles(text) for text in LEADS]

    def run(objective, folder):
        filters, choice = Filters(similarity=0.3, most_atoms=38), MethodChoice("local")
        plan = LeadPlan(objective, filters, choice, 15, logs=tmp_path / folder)
        return optimize_leads(leads, plan)

    whole = run(parse_objective("plogp"), "whole")
    with pytest.raises(KeyboardInterrupt):
        run(Breaks(25), "broken")
    again = run(parse_objective("plogp"), "broken")
    assert again == whole
    for name in ("00001.csv", "00002.csv", "00003.csv"):
        mine, other = tmp_path / "broken" / name, tmp_path / "whole" / name
        assert mine.read_bytes() == other.read_bytes()


def test_the_same_command_goes_on_where_it_was_interrupted(call, files, tmp_path, monkeypatch):
    from graphtide.molecules.objectives import Qed

    arguments = ("molecules", "optimize", "--start", "leads.smi", "--objective", "qed")
    options = ("--budget", "40", "--out", "r", "--method", "local", "--json")
    true, left = Qed.score, [17]

    def breaks(self, molecule):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return true(self, molecule)

    monkeypatch.setattr(Qed, "score", breaks)
    code, _, _ = call(*arguments, *options)
    assert code == 130
    kept = (tmp_path / "r/calls.csv").read_text()
    assert len(kept.splitlines()) == 18
    monkeypatch.setattr(Qed, "score", true)
    code, out, _ = call(*arguments, *options)
    assert code == 0
    assert json.loads(out)["calls"] == 40
    assert (tmp_path / "r/calls.csv").read_text().startswith(kept)


def test_near_a_lead_the_reason_of_a_failure_is_the_function_s_own(
    call, files, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    arguments = ("--start", "one.smi", "--objective", "bad_scores:raises", "--similarity", "0")
    code, out, _ = call(
        "molecules", "optimize", *arguments, "--budget", "3", "--out", "r", "--json"
    )
    assert code == 0
    found = json.loads(out)
    assert found["failed_calls"] == 3
    assert found["failures"]
    assert all(reason.startswith("ValueError") for reason in found["failures"])


@pytest.mark.parametrize(
    ("objective", "reason"),
    [("bad_scores:raises", "ValueError: no value for CCO"), ("bad_scores:nothing", "NaN")],
)
def test_calls_that_fail_are_counted_logged_and_shown(
    call, files, tmp_path, monkeypatch, objective, reason
):
    monkeypatch.chdir(tmp_path)
    arguments = ("molecules", "optimize", "--start", "one.smi", "--objective", objective)
    code, out, _ = call(*arguments, "--budget", "4", "--out", "r", "--json", "--method", "local")
    assert code == 0
    found = json.loads(out)
    assert found["calls"] == found["failed_calls"] == 4
    assert reason in " ".join(found["failures"])
    assert found["best"] is None
    assert all(row["reason"] for row in rows_of(tmp_path / "r/calls.csv"))
    assert "Calls that gave no value" in (tmp_path / "r/report.html").read_text(encoding="utf-8")


def test_a_call_that_hangs_is_ended_and_the_search_goes_on(call, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = (
        "molecules",
        "optimize",
        "--start",
        "one.smi",
        "--objective",
        "bad_scores:hangs",
    )
    limit = ("--time-limit", "0.2", "--similarity", "0", "--budget", "3", "--out", "r", "--json")
    code, out, _ = call(*arguments, *limit)
    assert code == 0
    found = json.loads(out)
    assert found["calls"] == 3
    assert found["failed_calls"] == 2
    assert "more than 0.2 s" in " ".join(found["failures"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--start", "one.smi", "--objective", "nonsense"), "'nonsense' is not known: "),
        (
            ("--start", "one.smi", "--objective", "qed", "--backend", "slurm"),
            "'slurm' is not known",
        ),
        (("--start", "none.smi", "--objective", "qed"), "none.smi: none of its 2 molecules"),
        (("--start", "empty.smi", "--objective", "qed"), "empty.smi is empty"),
        (("--start", "missing.smi", "--objective", "qed"), "missing.smi"),
        (
            ("--start", "one.smi", "--objective", "qed", "--minimum", "qed=0.9"),
            "one.smi, line 1: the start CCO breaks a constraint: qed is 0.407, below 0.9",
        ),
        (
            ("--start", "one.smi", "--objective", "qed", "--keep", "c1ccccc1"),
            "line 1: the start CCO breaks a constraint: the substructure c1ccccc1 is missing",
        ),
        (("--start", "one.smi", "--objective", "qed", "--keep", "c1(("), "neither a SMILES"),
        (("--start", "one.smi", "--objective", "qed", "--similarity", "2"), "from 0 to 1"),
        (("--start", "one.smi", "--objective", "qed", "--budget", "1"), "at least 2 calls"),
        (("--start", "one.smi", "--objective", "qed", "--method", "magic"), "'magic' is no method"),
        (("--start", "one.smi", "--objective", "qed", "--method", "latent"), "--model flow"),
        (("--start", "one.smi", "--objective", "qed", "--minimum", "qed"), "such as qed=0.5"),
        (("--start", "one.smi", "--objective", "qed", "--time-limit", "0"), "more than 0 seconds"),
    ],
)
def test_wrong_input_is_told_in_one_sentence_and_nothing_is_written(
    call, files, tmp_path, arguments, words
):
    code, out, err = call("molecules", "optimize", *arguments, "--out", "r")
    assert code == 2
    assert out == ""
    assert words in " ".join(err.split())
    assert not (tmp_path / "r").exists()


def test_leads_side_by_side_find_what_they_find_one_by_one():
    leads = [canonical_smiles(text) for text in LEADS[:2]]
    plan = LeadPlan(parse_objective("qed"), Filters(similarity=0.3), MethodChoice("local"), 8)
    assert optimize_leads(leads, plan, workers=2) == optimize_leads(leads, plan)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_leads_shared_out_by_ray_find_the_same():
    pytest.importorskip("ray")
    leads = [canonical_smiles(text) for text in LEADS[:2]]
    plan = LeadPlan(parse_objective("qed"), Filters(similarity=0.3), MethodChoice("local"), 8)
    assert optimize_leads(leads, plan, workers=2, backend="ray") == optimize_leads(leads, plan)


def test_changed_atoms_are_those_outside_of_what_is_common():
    before, after = changed_atoms("Cc1ccccc1", "CCc1ccccc1")
    assert len(before) == 0
    assert after == {0}
    assert changed_atoms("CCO", "CCO") == (set(), set())
    assert changed_atoms("F", "Cl") == ({0}, {0})


def test_the_nearest_known_molecule_is_found_among_starts_and_sample():
    sample = canonical_smiles(zinc250k_sample()["smiles"][4])
    table = nearest_known([sample, "CCCCO"], ["CCCCO"])
    assert table["nearest"].tolist() == [sample, "CCCCO"]
    assert table["from"].tolist() == ["ZINC250k sample", "starts"]
    np.testing.assert_allclose(table["similarity"], 1.0)


def test_a_pareto_set_of_leads_gains_in_the_mean():
    objective = Pareto((parse_objective("qed"), parse_objective("plogp")))
    plan = LeadPlan(objective, Filters(similarity=0.3), MethodChoice("local"), 12)
    (history,) = optimize_leads([canonical_smiles(LEADS[0])], plan)
    assert history.best is not None
    assert history.gain == pytest.approx(history.best.value - history.evaluations[0].value)
