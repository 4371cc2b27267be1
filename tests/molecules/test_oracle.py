"""The oracle: what it counts, caches, logs, skips and takes up again; the area by hand."""

import time

import numpy as np
import pytest

from graphtide.errors import InputError
from graphtide.molecules.objectives import Qed, parse_objective
from graphtide.molecules.optimization import Method, Oracle, optimize
from graphtide.molecules.optimization.oracle import area_under_top


class Letters:
    """Counts letters; raises, fails or hangs on some molecules, and remembers its calls."""

    name = "letters"

    def __init__(self, nap=0.0):
        self.seen = []
        self.nap = nap

    def __call__(self, smiles):
        self.seen += smiles
        if "CN" in smiles:
            raise RuntimeError("no amines\nplease")
        if "CP" in smiles:
            raise SystemExit(3)
        if "CO" in smiles and self.nap:
            time.sleep(self.nap)
        return np.array([np.nan if text == "CS" else float(len(text)) for text in smiles])


def test_each_molecule_is_evaluated_and_counted_once():
    objective = Letters()
    oracle = Oracle(objective, 10)
    values = oracle(["CCO", "OCC", "C1CC", "", "CCC"])
    np.testing.assert_array_equal(values, [3, 3, np.nan, np.nan, 3])
    np.testing.assert_array_equal(oracle(["C(O)C"]), [3.0])
    assert objective.seen == ["CCO", "CCC"]
    assert (oracle.calls, oracle.remaining) == (2, 8)
    assert oracle.history == [("CCO", 3.0), ("CCC", 3.0)]


def test_past_the_budget_nothing_is_evaluated():
    objective = Letters()
    oracle = Oracle(objective, 2)
    np.testing.assert_array_equal(oracle(["C", "CC", "CCC", "C"]), [1, 2, np.nan, 1])
    np.testing.assert_array_equal(oracle(["CCC"]), [np.nan])
    assert objective.seen == ["C", "CC"]
    assert oracle.remaining == 0


def test_failures_count_and_are_logged_with_their_reason(tmp_path):
    log = tmp_path / "runs" / "calls.csv"
    oracle = Oracle(Letters(), 10, log=log)
    np.testing.assert_array_equal(oracle(["CN", "CS", "CCC", "CP"]), [np.nan, np.nan, 3, np.nan])
    assert oracle.calls == 4
    assert oracle.top(5) == [("CCC", 3.0)]
    assert log.read_text().splitlines() == [
        "call,smiles,letters,reason",
        "1,CN,,RuntimeError: no amines please",
        "2,CS,,the objective returned NaN or infinity",
        "3,CCC,3.0,",
        "4,CP,,SystemExit: 3",
    ]


def test_the_log_is_written_as_it_happens_and_read_back(tmp_path):
    log = tmp_path / "calls.csv"

    class Interrupted(Letters):
        def __call__(self, smiles):
            if "CCCC" in smiles:
                raise KeyboardInterrupt
            return super().__call__(smiles)

    with pytest.raises(KeyboardInterrupt):
        Oracle(Interrupted(), 10, log=log)(["C", "CN", "CCCC", "CC"])
    with log.open("a") as stream:
        stream.write("3,CC")  # a line cut short
    objective = Letters()
    oracle = Oracle(objective, 10, log=log)
    assert oracle.calls == 2
    np.testing.assert_array_equal(oracle(["CN", "C", "CCCC"]), [np.nan, 1, 4])
    assert objective.seen == ["CCCC"]
    again = Oracle(Letters(), 10, log=log)
    assert [one.reason for one in again.evaluations] == [
        "",
        "RuntimeError: no amines please",
        "",
    ]
    assert [text for text, _ in again.history] == ["C", "CN", "CCCC"]
    np.testing.assert_array_equal(again.values, oracle.values)


def test_a_log_of_something_else_is_refused(tmp_path):
    log = tmp_path / "calls.csv"
    Oracle(Letters(), 3, log=log)(["C"])
    with pytest.raises(InputError, match="not a log of 'qed'"):
        Oracle(Qed(), 3, log=log)
    log.write_text("call,smiles,letters,reason\n1,C,x,\n")
    with pytest.raises(InputError, match="line 2"):
        Oracle(Letters(), 3, log=log)
    with pytest.raises(InputError, match="is a folder"):
        Oracle(Letters(), 3, log=tmp_path)


def test_objectives_kept_apart_have_columns_of_their_own(tmp_path):
    log = tmp_path / "calls.csv"
    both = parse_objective("qed, similarity:CCO")
    oracle = Oracle(both, 5, log=log)
    values = oracle(["CCO", "C1CC"])
    assert values.shape == (2, 2)
    assert values[0, 1] == 1.0
    assert np.isnan(values[1]).all()
    assert log.read_text().startswith("call,smiles,qed,similarity:CCO,reason\n1,CCO,")
    np.testing.assert_array_equal(Oracle(both, 5, log=log).values, oracle.values)


def test_workers_give_the_same_and_end_what_hangs(tmp_path):
    smiles = ["CCO", "CN", "CO", "CC", "CS", "CCCC"]
    with Oracle(Letters(nap=60.0), 10, workers=2, time_limit=0.5, log=tmp_path / "a.csv") as oracle:
        values = oracle(smiles)
        np.testing.assert_array_equal(values, [3, np.nan, np.nan, 2, np.nan, 4])
        reasons = {one.smiles: one.reason for one in oracle.evaluations}
        assert reasons["CO"] == "it took more than 0.5 s"
        assert reasons["CN"] == "RuntimeError: no amines please"
        assert oracle.calls == 6


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_actors_of_ray_give_the_same_and_end_what_hangs_or_dies():
    pytest.importorskip("ray")
    smiles = ["CCO", "CN", "CO", "CC", "CS", "CCCC"]
    with Oracle(Letters(nap=60.0), 10, workers=2, time_limit=2.0, backend="ray") as oracle:
        np.testing.assert_array_equal(oracle(smiles), [3, np.nan, np.nan, 2, np.nan, 4])
        reasons = {one.smiles: one.reason for one in oracle.evaluations}
        assert reasons["CO"] == "it took more than 2 s"
        assert reasons["CN"] == "RuntimeError: no amines please"
        np.testing.assert_array_equal(oracle(["CCC", "CCCCC"]), [3, 5])
        assert oracle.calls == 8
    with Oracle(Deadly(), 10, workers=1, backend="ray") as oracle:
        np.testing.assert_array_equal(oracle(["CO", "CC"]), [np.nan, 2])
        assert oracle.evaluations[0].reason == "its process died"


class Deadly(Letters):
    def __call__(self, smiles):
        if "CO" in smiles:
            import os

            os._exit(3)
        return super().__call__(smiles)


def test_a_process_that_dies_is_replaced():
    with Oracle(Deadly(), 10, workers=1, time_limit=60.0) as oracle:
        np.testing.assert_array_equal(oracle(["CO", "CC"]), [np.nan, 2])
        assert oracle.evaluations[0].reason == "its process died"


def test_bad_arguments_are_refused():
    for wrong in ({"workers": 0}, {"time_limit": 0.0}, {"backend": "threads"}):
        with pytest.raises(InputError):
            Oracle(Letters(), 10, **wrong)
    with pytest.raises(InputError, match="budget of 0"):
        Oracle(Letters(), 0)
    objective = Letters()
    objective.seen = lambda: None  # a function without a name of its own cannot be pickled
    with pytest.raises(InputError, match="cannot be sent to another process"):
        Oracle(objective, 10, workers=2)


def test_area_under_the_top_by_hand():
    # 250 calls of 400: ten ones at the start, then ten twos at call 150 and nothing after.
    values = [1.0] * 10 + [0.0] * 139 + [2.0] * 10 + [np.nan] * 91
    # Looks at calls 100 (1), 200 (2) and 250 (2): trapezoids from 0, then flat to 400.
    expected = 100 * (0 + 1) / 2 + 100 * (1 + 2) / 2 + 50 * 2 + 150 * 2
    assert area_under_top(values, 400) == pytest.approx(expected / 400)
    assert area_under_top([], 400) == 0.0
    assert area_under_top([5.0] * 500, 100, k=1) == pytest.approx(2.5)  # one trapezoid from 0
    assert area_under_top([3.0, 1.0], 2, k=1) == pytest.approx(1.5)


class Chains(Method):
    """Proposes ever longer chains, and remembers what it is told."""

    name = "chains"
    batch = 4

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.heard = []

    def ask(self, number):
        return ["C" * (len(self.heard) + k + 1) for k in range(number)]

    def tell(self, smiles, values):
        self.heard += list(zip(smiles, values.tolist(), strict=True))
        self.told = len(self.heard)


def test_the_loop_spends_its_budget_and_goes_on_from_its_log(tmp_path):
    whole = Oracle(Letters(), 20, log=tmp_path / "whole.csv")
    optimize(Chains(["C"]), whole)
    optimize(Chains(["C"]), Oracle(Letters(), 8, log=tmp_path / "part.csv"))
    method = Chains(["C"])
    objective = Letters()
    told = []
    part = Oracle(objective, 20, log=tmp_path / "part.csv")
    optimize(method, part, progress=lambda share, text: told.append(share))
    assert part.history == whole.history
    assert len(objective.seen) == 12
    assert method.heard == whole.history
    assert told == pytest.approx([12 / 20, 16 / 20, 20 / 20])


def test_the_loop_ends_where_a_method_has_nothing_new():
    class Stubborn(Chains):
        def ask(self, number):
            return ["C", "CC"]

    oracle = Oracle(Letters(), 20)
    optimize(Stubborn(["C"]), oracle)
    assert oracle.calls == 2
    with pytest.raises(InputError, match="at least one start"):
        Stubborn([])
    with pytest.raises(InputError, match="not a SMILES"):
        Stubborn(["C1CC"])
