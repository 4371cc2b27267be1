"""Discrete flow matching of molecules: learned, sampled, conditioned, kept."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles, typed_graph
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.flow_matching import (
    DENSE_LIMIT,
    FlowMatching,
    FlowMatchingExamples,
    Sampling,
    fit_flow_matching,
    frames,
)
from graphtide.molecules.flow_matching.drawing import Wishes, starts
from graphtide.molecules.flow_matching.sampler import run_chain
from graphtide.molecules.generator import load_generator, save_generator
from graphtide.run import Run

SMILES = [
    "CCO", "c1ccccc1", "CC(=O)N", "C#N", "C1CC1O", "OCC(F)F", "c1cc[nH]c1", "CCN", "CO", "C",
    "CCCCOC", "C[N+](C)(C)CC(=O)[O-]", "CC1CC1C#N", "N#CCC#N", "O=C1CCC1", "OCCCCO",
]  # fmt: skip
VARIANTS = [(start, atoms) for start in ("marginal", "masked") for atoms in ("composition", "flow")]


def _untrained(start: str = "marginal", atoms: str = "composition") -> FlowMatching:
    torch.manual_seed(0)
    examples = FlowMatchingExamples(Corpus.from_smiles(SMILES, workers=1))
    settings = {"width": 32, "pair_width": 16, "layers": 2}
    return FlowMatching.for_examples(examples, start=start, atoms=atoms, **settings).eval()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("start", "atoms"), VARIANTS)
def test_mask_makes_an_untrained_network_valid(start: str, atoms: str) -> None:
    sample = _untrained(start, atoms).sample(60, steps=4)
    for text in sample.smiles:
        assert Chem.MolFromSmiles(text) is not None
        assert text
        assert "." not in text
    assert sample.valid_before_correction.mean() < 0.9
    assert sample.seconds > 0


def test_without_correction_what_is_not_valid_stays_out() -> None:
    sample = _untrained().sample(60, steps=4, sampling=Sampling(correct=False))
    assert [bool(text) for text in sample.smiles] == sample.valid_before_correction.tolist()
    assert not all(sample.smiles)


def test_one_seed_gives_one_sample() -> None:
    model = _untrained()
    one, same, other = (model.sample(20, steps=3, seed=seed).smiles for seed in (5, 5, 6))
    assert one == same
    assert one != other


def test_the_number_of_threads_does_not_change_the_sample() -> None:
    model, sampling = _untrained(), Sampling(steps=3, batch=8)
    before = torch.get_num_threads()
    samples = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            samples.append(model.sample(40, seed=5, sampling=sampling))
    finally:
        torch.set_num_threads(before)
    assert samples[0].smiles == samples[1].smiles
    assert (samples[0].valid_before_correction == samples[1].valid_before_correction).all()


@pytest.mark.parametrize(("start", "atoms"), VARIANTS)
@pytest.mark.parametrize(
    ("scaffold", "smarts"),
    # Bonds of any kind where the bonds added may make a ring aromatic, furan of CCO, say.
    [("C1CC1", "[#6]1~[#6]~[#6]~1"), ("C#N", "C#N"), ("CCO", "[#6]~[#6]~[#8]")],
)
def test_scaffold_is_held(start: str, atoms: str, scaffold: str, smarts: str) -> None:
    sample = _untrained(start, atoms).sample(24, steps=3, scaffold=scaffold)
    pattern = Chem.MolFromSmarts(smarts)
    assert all(Chem.MolFromSmiles(text).HasSubstructMatch(pattern) for text in sample.smiles)
    assert len(set(sample.smiles)) > 1


def test_scaffold_stays_at_every_time() -> None:
    model = _untrained(atoms="flow")
    graph = typed_graph(parse_smiles("C#N"))
    wishes = Wishes.read(model, "C#N", None)
    generator = torch.Generator().manual_seed(0)
    seen: list[float] = []

    def watch(time: float, types: torch.Tensor, bonds: torch.Tensor) -> None:
        seen.append(time)
        assert {model.vocabulary[k] for k in types[:2].unique().tolist()} == set(graph.types)
        assert (bonds[0] == 3).all()

    for _, begin in starts(model, 10, wishes, 8, generator):
        seen.clear()
        run_chain(model, begin, Sampling(steps=5), generator, watch=watch)
        assert seen[0] == 0.0
        assert seen[-1] == 1.0
        assert len(seen) == 6


@pytest.mark.parametrize("scaffold", ["CCCCCCCCCCCCCC", "OOOOO"])
def test_scaffold_without_room_is_refused(scaffold: str) -> None:
    with pytest.raises(InputError, match="does not fit"):
        _untrained().sample(2, scaffold=scaffold)


def test_strange_wishes_are_refused() -> None:
    model = _untrained()
    with pytest.raises(InputError, match=r"the scaffold holds Cl\(1\); the model was trained on"):
        model.sample(2, scaffold="CCCl")
    with pytest.raises(InputError, match="several pieces"):
        model.sample(2, scaffold="C.C")
    with pytest.raises(InputError, match="not a SMILES"):
        model.sample(2, scaffold="C(")
    with pytest.raises(InputError, match="trained without properties"):
        model.sample(2, condition={"qed": 0.9})
    with pytest.raises(InputError, match="number of molecules must be at least 1"):
        model.sample(0)
    with pytest.raises(InputError, match="steps and batch"):
        model.sample(2, steps=0)
    with pytest.raises(InputError, match="is none of marginal, masked"):
        _untrained(start="uniform")


def _fit(smiles: list[str], steps: int, **options: object) -> FlowMatching:
    corpus = Corpus.from_smiles(smiles, workers=1)
    small = {"width": 32, "pair_width": 16, "layers": 2, "batch": 32, "learning_rate": 0.01}
    return fit_flow_matching(corpus, steps=steps, **{**small, **options})[0]  # pyright: ignore[reportArgumentType]


def test_one_molecule_is_learned() -> None:
    # With the atoms given, butanone's isomers are many; only one was seen.
    model = _fit(["CCC(C)=O"], 200)
    sample = model.sample(50, steps=20)
    assert sample.valid_before_correction.mean() > 0.8
    assert sample.smiles.count("CCC(C)=O") >= 40


@pytest.mark.parametrize("atoms", ["composition", "flow"])
def test_metals_alone_are_learned(atoms: str) -> None:
    model = _fit(["[Na+]", "[Fe+2]", "[K+]", "[Na+]"], 40, atoms=atoms)
    sample = model.sample(30, steps=5)
    assert set(sample.smiles) <= {"[Na+]", "[Fe+2]", "[K+]"}
    assert sample.valid_before_correction.all()


def test_large_molecules_are_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    long = "C" * (DENSE_LIMIT + 1)
    told: list[str] = []
    with caplog.at_level(logging.WARNING):
        model = _fit(
            ["CCO", long, "CO"],
            3,
            progress=lambda share, text: told.append(text),
            properties={"size": np.array([3.0, 129.0, 2.0])},
        )
    assert "1 molecules of more than 128 atoms are set aside" in caplog.text
    assert "set aside" in told[0]
    assert model.compositions.sum(1).max() == 3
    with pytest.raises(InputError, match="all 1 molecules have more than 128 atoms"):
        _fit([long], 3)


def test_condition_decides_between_isomers() -> None:
    # Equal atoms, so that only the bonds can tell: the property is whether there is a ring.
    smiles = ["C=CCC", "C1CCC1"] * 10
    model = _fit(smiles, 300, properties={"ring": np.array([0.0, 1.0] * 10)})
    for wanted, text in ((0.0, "C=CCC"), (1.0, "C1CCC1")):
        sample = model.sample(200, steps=20, condition={"ring": wanted})
        assert sample.smiles.count(text) > 125  # 100 by chance, with a deviation of 7
    both = model.sample(80, steps=20).smiles
    assert 15 < both.count("C1CCC1") < 65
    with pytest.raises(InputError, match="knows no property 'logP'; it knows ring"):
        model.sample(2, condition={"logP": 1.0})
    with pytest.raises(InputError, match="must be a finite number"):
        model.sample(2, condition={"ring": float("nan")})


def test_condition_draws_fitting_compositions() -> None:
    smiles = ["C" * n for n in range(1, 9)] * 5
    model = _fit(smiles, 2, properties={"size": np.array([len(text) for text in smiles], float)})
    sample = model.sample(40, steps=2, condition={"size": 8.0})
    sizes = [parse_smiles(text).GetNumAtoms() for text in sample.smiles]
    assert np.mean(sizes) > 6.5


def test_properties_are_checked() -> None:
    corpus = Corpus.from_smiles(["CCO", "CO"], workers=1)
    with pytest.raises(InputError, match=r"shape \(3,\); one number for each of the 2"):
        FlowMatchingExamples(corpus, {"qed": np.zeros(3)})
    with pytest.raises(InputError, match="no finite value"):
        FlowMatchingExamples(corpus, {"qed": np.array([np.nan, np.inf])})
    with pytest.raises(InputError, match="exclude each other"):
        fit_flow_matching(corpus, steps=3, minutes=1.0)


def test_unknown_properties_are_nan_and_do_no_harm() -> None:
    model = _fit(SMILES, 5, properties={"a": np.array([1.0, np.nan] * 8)})
    assert all(weight.isfinite().all() for weight in model.parameters())
    assert all(model.sample(5, steps=2, condition={"a": 1.0}).smiles)


@pytest.mark.parametrize(("start", "atoms"), VARIANTS)
def test_model_is_kept_and_read_again(tmp_path: Path, start: str, atoms: str) -> None:
    model = _fit(SMILES, 3, start=start, atoms=atoms, properties={"a": np.arange(16.0)})
    save_generator(Run.create(tmp_path / "run", kind="test", configuration={}), model)
    again = load_generator(Run.open(tmp_path / "run"))
    wish = {"a": 3.0}
    assert (
        again.sample(12, steps=3, condition=wish).smiles
        == model.sample(12, steps=3, condition=wish).smiles
    )


def test_examples_hold_the_molecules() -> None:
    corpus = Corpus.from_smiles(SMILES, workers=1)
    examples = FlowMatchingExamples(corpus)
    types, orders, padding, known = examples.batch(np.array([3, 1, 9]), np.random.default_rng(0))
    assert types.shape == (6, 3)
    assert orders.sum(0).tolist() == [3, 9, 0]
    assert (~padding).sum(0).tolist() == [2, 6, 1]
    assert known.shape == (3, 0)
    alike = examples.batch(np.array([1, 1]), np.random.default_rng(0))
    assert alike[2].numel() == 0
    assert examples.order_counts().sum() == sum(n * (n - 1) // 2 for n in corpus.sizes.tolist())
    assert examples.compositions().sum(1).tolist() == corpus.sizes.tolist()


@pytest.mark.parametrize(("start", "atoms"), VARIANTS)
def test_frames_end_in_a_molecule_of_the_atoms_they_began_with(start: str, atoms: str) -> None:
    model = _untrained(start, atoms)
    found = frames(model, times=(0.0, 0.5, 1.0), seed=3, sampling=Sampling(steps=10))
    assert found[0][0] == 0.0
    assert 0.0 < found[1][0] <= 0.5
    assert found[2][0] == 1.0
    if atoms == "composition":
        assert len({graph.types for _, graph in found}) == 1
    if start == "masked":
        assert not len(found[0][1].bonds)
    assert set(found[2][1].types) <= set(model.vocabulary)
