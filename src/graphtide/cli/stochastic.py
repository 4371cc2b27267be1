"""What ``dynamics simulate --stochastic`` does: runs event by event, and tables of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from graphtide.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas

    from graphtide.equation import Equation
    from graphtide.graph import Graph
    from graphtide.spread.epidemic import EpidemicRuns

__all__ = ["check_table_name", "refuse_mixture", "simulate_runs"]


def refuse_mixture(*, stochastic: bool, noise: float, method: str) -> None:
    """Raise where options of stochastic runs and of the mean field are mixed.

    Raises:
        InputError: --all-runs or --cascades without --stochastic, or --noise or --method with it.
    """
    if not stochastic:
        raise InputError("--all-runs and --cascades belong to --stochastic, which is not given")
    if noise > 0.0:
        raise InputError("--noise is that of readings of a mean field; leave it with --stochastic")
    if method != "auto":
        raise InputError("--method is that of a mean field; --stochastic is exact without one")


def check_table_name(path: Path) -> None:
    """Raise unless runs may be written under this name.

    Raises:
        InputError: the name does not end in .csv or .csv.gz.
    """
    if not path.name.lower().endswith((".csv", ".csv.gz")):
        raise InputError(f"{path}: stochastic runs are written as .csv or .csv.gz")


def simulate_runs(
    equation: Equation,
    graph: Graph,
    times: np.ndarray,
    start: np.ndarray | None,
    *,
    runs: int,
    all_runs: bool,
    out: Path,
    cascades: Path | None,
    seed: int,
    progress: Callable[[float, str], None],
) -> dict[str, object]:
    """Simulate stochastic runs, write their table (and cascades), and return the figures."""
    from graphtide.dynamics.catalogue import random_start
    from graphtide.dynamics.simulate import simulate
    from graphtide.files import write_table
    from graphtide.spread.epidemic import simulate_epidemic
    from graphtide.spread.laws import law_of

    check_table_name(out)
    if cascades is not None:
        check_table_name(cascades)
    law = law_of(equation)
    first = random_start(equation, graph, seed) if start is None else start
    progress(0.0, f"simulating {runs} runs on {graph.node_count} nodes")
    result = simulate_epidemic(
        equation, graph, times, first, runs=runs, seed=seed, infections=cascades is not None
    )
    progress(0.7, "the mean field of the same law")
    columns = list(simulate(equation, graph, times, first).states.sum(axis=1).T)  # D of (T,)
    mean_field = columns if len(columns) > 1 else [graph.node_count - columns[0], columns[0]]
    if all_runs:
        table = result.table()
    else:
        table = result.summary()
        for letter, column in zip(law.compartments, mean_field, strict=True):
            table[f"{letter}_mean_field"] = column
    write_table(out, table)
    metrics: dict[str, object] = {
        "law": law.name,
        "equation": equation.text(),
        "nodes": graph.node_count,
        "edges": graph.edge_count,
        "times": len(times),
        "runs": runs,
        "ever_infected_mean": float(result.ever_infected.mean()),
        "ever_infected_standard_deviation": float(result.ever_infected.std()),
        "infected_at_the_end_mean": float(result.mean[-1, law.compartments.index("I")]),
        "infected_at_the_end_mean_field": float(mean_field[law.compartments.index("I")][-1]),
        "out": str(out),
    }
    if cascades is not None:
        write_table(cascades, infection_table(result, graph))
        metrics["cascades"] = str(cascades)
    return metrics


def infection_table(result: EpidemicRuns, graph: Graph) -> pandas.DataFrame:
    """Return a frame of infections, as ``mechanisms spread`` reads them.

    Its columns are cascade, node, time, parent, and infectious and recovery where the law has them.
    """
    import numpy as np
    import pandas

    names = np.array([*graph.names, ""], dtype=object)
    parts = [
        pandas.DataFrame(
            {
                "cascade": k,
                "node": names[run.node],
                "time": run.time,
                "parent": names[run.source],
                "infectious": np.where(np.isinf(run.infectious), np.nan, run.infectious),
                "recovery": np.where(np.isinf(run.recovery), np.nan, run.recovery),
            }
        )
        for k, run in enumerate(result.infections)
    ]
    table = pandas.concat(parts, ignore_index=True)
    law = result.law
    known = (("infectious", law.incubation), ("recovery", law.recovery))
    return table.drop(columns=[name for name, rate in known if not rate])
