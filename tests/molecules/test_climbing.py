"""Methods that climb by edits, in the flow's latent space and by redrawing parts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from rdkit import DataStructs
from rdkit.Chem import rdFingerprintGenerator

from graphtide.data import qm9_sample, zinc250k_sample
from graphtide.errors import InputError
from graphtide.molecules.chemistry import canonical_smiles, parse_smiles
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.flow import Flow, fit_flow
from graphtide.molecules.flow_matching import FlowMatching, Sampling, fit_flow_matching
from graphtide.molecules.objectives import Filters, parse_objective
from graphtide.molecules.optimization import Method, Oracle, optimize
from graphtide.molecules.optimization.auto import Auto
from graphtide.molecules.optimization.guided import GuidedFlowMatching
from graphtide.molecules.optimization.latent import LatentClimb, LatentSteps
from graphtide.molecules.optimization.local import LocalClimb
from graphtide.molecules.optimization.materials import Materials, materials_of
from graphtide.molecules.optimization.told import RidgeSurrogate, Told, fragment_counts, tanimoto

ZINC = tuple(zinc250k_sample()["smiles"][:150])
QM9 = tuple(qm9_sample()["smiles"][:300])


@pytest.fixture(scope="module")
def materials() -> Materials:
    return materials_of(ZINC)


@pytest.fixture(scope="module")
def flow() -> Flow:
    return fit_flow(Corpus.from_smiles(QM9), steps=40, width=32, layers=1, seed=0)[0]


@pytest.fixture(scope="module")
def matching() -> FlowMatching:
    corpus = Corpus.from_smiles(QM9)
    return fit_flow_matching(corpus, steps=30, width=32, pair_width=16, layers=1, seed=0)[0]


def test_similarities_by_counts_are_those_of_fingerprints() -> None:
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048).GetFingerprint
    molecules = [parse_smiles(text) for text in ZINC[:40]]
    for one, other in itertools.pairwise(molecules):
        true = DataStructs.TanimotoSimilarity(make(one), make(other))
        assert tanimoto(fragment_counts(one), fragment_counts(other)) == true


def test_the_surrogate_is_ridge_regression_drawn_to_its_prior() -> None:
    counts = np.array([fragment_counts(text) for text in ZINC[:60]])
    values = parse_objective("qed")(ZINC[:60])
    prior = np.random.default_rng(0).normal(size=2048).astype(np.float32) / 50
    surrogate = RidgeSurrogate(prior)
    for first in range(0, 60, 7):  # added in parts, which must not matter
        surrogate.add(list(counts[first : first + 7]))
        surrogate.fit(values[: first + 7])
    centred = (counts - counts.mean(0)).astype(np.float64)
    rest = values - counts @ prior
    gram = centred.T @ centred + np.eye(2048)
    weights = prior + np.linalg.solve(gram, centred.T @ (rest - rest.mean()))
    expected = (counts - counts.mean(0)) @ weights + values.mean()
    np.testing.assert_allclose(surrogate.predict(list(counts)), expected, atol=1e-5)


def test_a_direction_among_several_objectives_never_rewards_what_is_dominated() -> None:
    told = Told()
    level = np.random.default_rng(0).random(40)
    table = np.column_stack([level, 1 - level])
    table[7] = table[3] - 0.01
    assert told.add([str(k) for k in range(40)], table) == list(range(40))
    random = np.random.default_rng(1)
    directions = [told.fitness(random) for _ in range(20)]
    assert all(fitness[3] > fitness[7] for fitness in directions)
    assert len({int(fitness.argmax()) for fitness in directions}) > 1


def test_values_that_are_missing_are_seen_but_not_climbed() -> None:
    told = Told()
    assert told.add(["C", "CC", "C"], np.array([1.0, np.nan, 1.0])) == [0]
    assert told.smiles == ["C"]
    assert told.seen == {"C", "CC"}


def _methods(
    start: Sequence[str],
    filters: Filters,
    parts: tuple[Materials, Flow, FlowMatching],
    seed: int = 0,
) -> list[Method]:
    materials, flow, matching = parts
    local = LocalClimb(start, materials=materials, filters=filters, seed=seed)
    latent = LatentClimb(start, flow, filters=filters, seed=seed)
    guided = GuidedFlowMatching(
        start, matching, filters=filters, seed=seed, screened=2, sampling=Sampling(steps=5)
    )
    arms = [
        LocalClimb(start, materials=materials, filters=filters, seed=seed),
        LatentClimb(start, flow, filters=filters, seed=seed),
    ]
    return [local, latent, guided, Auto(arms, seed=seed)]


@pytest.mark.parametrize("kind", [0, 1, 2, 3], ids=["local", "latent", "guided", "auto"])
def test_proposals_are_valid_and_near_the_lead_and_repeat_with_the_seed(
    kind: int, materials: Materials, flow: Flow, matching: FlowMatching
) -> None:
    lead = "CCC1CC1CO"
    filters = Filters(most_atoms=9, similarity=0.25).for_start(lead)
    parts = materials, flow, matching
    histories = []
    for _ in range(2):
        method = _methods([lead], filters, parts)[kind]
        oracle = Oracle(parse_objective("qed"), 12)
        optimize(method, oracle)
        histories.append(oracle.history)
    assert histories[0] == histories[1]
    assert len(histories[0]) > 4
    for text, value in histories[0]:
        assert canonical_smiles(text) == text
        assert tanimoto(fragment_counts(text), fragment_counts(lead)) >= 0.25
        assert parse_smiles(text).GetNumAtoms() <= 9
        assert np.isfinite(value)


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["local", "latent", "guided"])
def test_climbing_beats_the_best_start(
    kind: int, materials: Materials, flow: Flow, matching: FlowMatching
) -> None:
    start = list(dict.fromkeys(canonical_smiles(text) for text in QM9[:10]))
    method = _methods(start, Filters(most_atoms=9), (materials, flow, matching))[kind]
    oracle = Oracle(parse_objective("qed"), 60)
    optimize(method, oracle)
    values = [value for _, value in oracle.history]
    assert [text for text, _ in oracle.history[: len(start)]] == start
    assert max(values) > max(values[: len(start)]) + 0.02


def test_a_latent_step_of_no_size_decodes_to_the_molecule(flow: Flow) -> None:
    z = LatentSteps(flow).encoded("CCO")
    assert z is not None
    assert flow.decode_smiles(flow.network.norm.weight.new_tensor(z[None])) == ("CCO",)


def test_a_molecule_that_the_models_do_not_know_is_called_but_nothing_sets_out_from_it(
    flow: Flow, matching: FlowMatching
) -> None:
    for method in (LatentClimb(["CI"], flow), GuidedFlowMatching(["CI"], matching)):
        assert method.ask(5) == ["CI"]
        method.tell(["CI"], np.array([1.0]))
        assert method.ask(5) == []


def test_the_bandit_gives_its_calls_to_the_method_that_brings_the_best() -> None:
    class Numbers(Method):
        """Proposes chains of one element, longer and longer."""

        name = "numbers"
        batch = 6

        def __init__(self, element: str) -> None:
            super().__init__(["C"])
            self.element = element
            self.length = 1

        def ask(self, number: int) -> list[str]:
            return [f"C{self.element * (self.length + k)}C" for k in range(number)]

        def tell(self, smiles: Sequence[str], values: np.ndarray) -> None:
            self.told += len(smiles)
            self.length += sum(text.count(self.element) > 0 for text in smiles)

    auto = Auto([Numbers("O"), Numbers("N")])
    for _ in range(25):
        asked = auto.ask(6)
        values = [float(text.count("N")) if text.count("N") else 0.0 for text in asked]
        auto.tell(asked, np.array(values))
    assert auto.shares.sum() == pytest.approx(1.0)
    assert auto.shares[1] > 0.7
    assert auto.calls[1] > 2 * auto.calls[0] > 0


def test_a_search_without_methods_or_screening_is_refused() -> None:
    with pytest.raises(InputError, match="without a method"):
        Auto([])
    with pytest.raises(InputError, match="screened"):
        LocalClimb(["C"], screened=0)
