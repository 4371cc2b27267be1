"""Two finished runs whose pages the tests look at."""

import numpy as np
import pytest

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.fit import fit
from graphtide.graph import Graph
from graphtide.mechanisms.regression import discover
from graphtide.run import Run


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    from graphtide.dynamics.simulate import simulate

    graph = Graph.from_source("small_world:30:4:0.3", seed=0)
    times = np.linspace(0, 3, 60)
    states = simulate(CATALOGUE["heat"].equation, graph, times, noise=0.02, seed=0)
    folder = tmp_path_factory.mktemp("runs")
    fitted = Run.create(folder / "fit", kind="dynamics fit", configuration={"seed": 0})
    fit(states, graph, seed=0).save(fitted)
    law = Run.create(folder / "law", kind="mechanisms equation", configuration={"seed": 0})
    discover(states, graph, inclusion_repetitions=2).save(law)
    return {"dynamics fit": fitted, "mechanisms equation": law}
