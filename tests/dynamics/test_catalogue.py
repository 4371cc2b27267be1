"""The catalogue: names, starts, and what a text may name."""

from pathlib import Path

import numpy as np
import pytest

from graphtide.dynamics.catalogue import CATALOGUE, entry_of, ndcn_start, random_start, resolve
from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph

NAMED = {
    *("heat", "gene", "mutualistic", "sis", "sir", "lotka_volterra", "kuramoto", "wilson_cowan"),
    *("fitzhugh_nagumo", "rossler", "biochemical", "saturating_consensus", "swing"),
    *("newton_cooling", "exponential", "power_law", "logistic"),
}


def test_every_named_law_is_there_and_whole() -> None:
    assert set(CATALOGUE) >= NAMED
    graph = Graph.from_source("karate")
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert entry.description.endswith(".")
        assert entry.reference
        assert all(p.value is not None for p in entry.equation.parameters.values())
        assert set(entry.equation.attributes) == set(entry.attributes)
        assert Equation.parse(entry.equation.text()) == entry.equation
        start = random_start(entry.equation, graph, seed=4)
        assert start.shape == (34, len(entry.equation.variables))
        assert np.array_equal(start, random_start(entry.equation, graph, seed=4))
        varied = entry.start(graph, np.random.default_rng(5))
        assert not np.array_equal(start, varied)
        assert entry.times[0] < entry.times[1]
        assert entry_of(entry.equation) is entry


def test_an_entry_is_found_whatever_the_parameters() -> None:
    assert entry_of(resolve("gene").with_parameters(h=3.0)) is CATALOGUE["gene"]
    assert entry_of(Equation.parse("dx/dt = -x")) is None
    uniform = random_start(Equation.parse("dx/dt = -x"), Graph.from_source("path:500"), seed=1)
    assert 0.0 <= uniform.min() < 0.05
    assert 0.95 < uniform.max() <= 1.0


def test_start_of_the_published_test() -> None:
    start = ndcn_start(Graph.from_source("grid:20:20"))
    square = start.reshape(20, 20)
    assert np.all(square[1:5, 1:5] == 25.0)
    assert np.all(square[9:15, 9:15] == 20.0)
    assert np.all(square[1:5, 7:13] == 17.0)
    assert start.sum() == 25 * 16 + 20 * 36 + 17 * 24
    assert ndcn_start(Graph.from_source("karate")).shape == (34, 1)
    assert ndcn_start(Graph.from_source("single")).shape == (1, 1)


def test_resolve_takes_names_files_runs_and_texts(tmp_path: Path) -> None:
    law = Equation.parse("dx/dt = -k*x, k = 3")
    law.write(tmp_path / "equation.json")
    assert resolve("heat") is CATALOGUE["heat"].equation
    assert resolve(str(tmp_path)) == law
    assert resolve(str(tmp_path / "equation.json")) == law
    assert resolve("dx/dt = -k*x, k = 3") == law


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("haet", "did you mean 'heat'"),
        ("qqqq", "the names are heat"),
        ("missing/equation.json", "there is no such file"),
        ("dx/dt = __import__('os')", "'__import__' is not a name"),
    ],
)
def test_resolve_refuses(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(source)


def test_resolve_refuses_a_folder_without_an_equation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no equation\.json"):
        resolve(str(tmp_path))
