"""Write the README's section of measured figures from the results of the benchmarks.

    python benchmarks/summary.py [--check]

Each sentence is made from the JSON that the named script wrote; `--check` only tells (exit code 1)
whether the README still says what the results say.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from summary_analysis import analysis, control, roads
from summary_mechanisms import conditions, discovery, distributions, growth, spread
from summary_molecules import (
    constrained,
    generation,
    goal_directed,
    killed,
    moses,
    prediction,
    qm9_properties,
)
from summary_shared import results

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def solvers() -> list[str]:
    """Say what ode.py, ode_stabilized.py and accuracy.py found."""
    accuracy = results("accuracy")
    off = max(abs(o["measured"] - o["promised"]) for o in accuracy["orders"].values())
    gradients = [v for part in accuracy["gradient_distance"].values() for v in part.values()]
    lines = [
        f"Every method has its order: measured within {off:.2f} of what it promises, all "
        f"{len(accuracy['orders'])}; the gradient modes agree to {max(gradients):.0e} "
        "(`accuracy.py`)."
    ]
    lines += [
        f"Dormand-Prince 5, forward and backward, {row['nodes']:,} nodes of "
        f"{row['variables']} variable{'s' if row['variables'] > 1 else ''}: "
        f"{row['ratio']:.1f} times as fast as torchdiffeq at equal accuracy, "
        f"{row['field_alone_seconds'] / row['rows'][0]['seconds']:.0%} of the time in the "
        "field itself (`ode.py`)."
        for row in results("ode")["dormand_prince5"]
    ]
    heat = results("ode_stabilized")
    trick = heat["ratios"].get("LSODA diagonal", {}).get("ratio")
    lines.append(
        f"Heat on {heat['nodes']:,} nodes: Runge-Kutta-Chebyshev is "
        f"{heat['ratios'][heat['fastest_peer']]['ratio']:.0f} times as fast as the best of "
        f"SciPy's RK45, LSODA and BDF ({heat['fastest_peer']}) at equal error"
        + (
            f"; LSODA told, wrongly, that the Jacobian is diagonal takes {trick:.2f} of our time"
            if trick
            else ""
        )
        + " (`ode_stabilized.py`)."
    )
    return lines


def simulation() -> list[str]:
    """Say what simulate.py found."""
    content = results("simulate")
    rhs, growth = content["right_hand_side"], content["growth"]
    lines = [
        f"One right-hand side of mutualistic dynamics over {rhs['edges']:,} edges takes "
        f"{rhs['fused_over_scipy']:.2f} of SciPy's sparse product of the same matrix "
        f"({rhs['fused_over_scipy_one_thread']:.2f} on one thread); from {growth['edges'][0]:,} to "
        f"{growth['edges'][-1]:,} edges its time grows as edges^{growth['log_log_slope']:.2f} "
        "(`simulate.py`)."
    ]
    if "very_large" in content:
        large = content["very_large"]
        lines.append(
            f"{large['nodes']:,} nodes with {large['edges']:,} edges are simulated in "
            f"{large['simulation_seconds']:.0f} s and {large['peak_memory_gib']:.1f} GiB "
            "(`simulate.py`)."
        )
    return lines


def learning() -> list[str]:
    """Say what ndcn.py found."""
    content = results("ndcn")
    lines = []
    peer = "NDCN's own code errs by 0.6-15 / 0.6-34 % in 54 s"
    for test, words, beside in (
        ("plain", "without noise", peer),
        ("noise", "with 5 % noise", "errors are against the states without noise"),
    ):
        rows = {key: row for key, row in content.items() if key.startswith(f"{test}:")}
        if not rows:
            continue
        parts = []
        for dynamics in ("heat", "gene", "mutualistic"):
            mine = [row for key, row in rows.items() if key.split(":")[2] == dynamics]
            inner = [float(row["interpolate"]) for row in mine]
            outer = [float(row["extrapolate"]) for row in mine]
            parts.append(
                f"{dynamics} {mean(inner):.2g} / {mean(outer):.2g} % "
                f"(worst {max(inner):.2g} / {max(outer):.2g})"
            )
        seconds = [float(row["cpu_seconds"]) for row in rows.values()]
        lines.append(
            f"Learning on NDCN's 15 settings {words}, {len(rows)} runs, error of interpolation / "
            f"extrapolation: {'; '.join(parts)}; {median(seconds):.1f} CPU seconds a fit "
            f"(largest {max(seconds):.0f}); {beside} (`ndcn.py`)."
        )
    return lines


HARDER = {
    "first40": "trained on the first third of the times",
    "noise": "from readings with 5 % noise",
    "missing": "with 30 % of the readings missing",
    "unseen": "with 20 % of the nodes never seen",
}


def _errors(rows: Sequence[dict]) -> str:
    """Return the median and worst errors of interpolation and extrapolation in per cent."""
    parts = []
    for kind in ("interpolate", "extrapolate"):
        values = [r[kind] for r in rows if kind in r]
        parts.append(f"{median(values):.2g} (worst {max(values):.2g})" if values else "-")
    return " / ".join(parts) + " %"


def neural() -> list[str]:
    """Say what ndcn_neural.py, distil.py and training_step.py found."""
    content = results("ndcn_neural")
    lines = []
    rows = {k: r for k, r in content.items() if k.startswith("plain:message_passing:")}
    done = [r for r in rows.values() if "failed" not in r]
    if done:
        inner = [r["interpolate"] for r in done]
        outer = [r["extrapolate"] for r in done]
        covered = [r[f"coverage_{n}"] for r in done for n in ("interpolation", "extrapolation")]
        lines.append(
            f"Neural fields on {len(rows)} of NDCN's settings, one seed each: error of "
            f"interpolation / extrapolation {median(inner):.2g} / {median(outer):.2g} % (median; "
            f"worst {max(inner):.2g} / {max(outer):.2g}), {len(rows) - len(done)} failed; "
            f"intervals of 90 % cover {100 * median(covered):.0f} % (median; "
            f"{100 * min(covered):.0f}-{100 * max(covered):.0f}); "
            f"{median(r['cpu_seconds'] for r in done):.0f} CPU seconds a fit (`ndcn_neural.py`)."
        )
    for test, words in HARDER.items():
        every = [r for k, r in content.items() if k.startswith(f"{test}:message_passing:")]
        sound = [r for r in every if "failed" not in r]
        if not sound:
            continue
        closed = sum(r["start"] == "closed_form" for r in sound)
        lines.append(
            f"Neural fields {words}, {len(every)} settings, {closed} started from a closed form: "
            f"error of interpolation / extrapolation {_errors(sound)}; the last value is off by "
            f"{median(r['last_value'] for r in sound):.2g} % (`ndcn_neural.py`)."
        )
    laws = results("distil")
    clean = [r for k, r in laws.items() if k.split(":")[1] == "0"]
    apart = [r["coefficient_error"] for r in clean if r["exact"]]
    lines.append(
        f"Laws read out of neural fields: the right terms in {sum(r['exact'] for r in clean)} of "
        f"{len(clean)} fields, without noise; their coefficients are off by "
        f"{100 * median(apart):.2g} % (median; worst {100 * max(apart):.2g}; `distil.py`)."
    )
    step = results("training_step")
    lines.append(
        f"A training step of NDCN's model takes {step['step']['ratio_to_dense']:.2f} of "
        f"torchdiffeq's with the dense operator that NDCN uses, "
        f"{step['step']['ratio_to_sparse']:.2f} with a sparse one (`training_step.py`)."
    )
    memory = step.get("memory", {}).get("checkpointed")
    if memory:
        lines[-1] = lines[-1].removesuffix(" (`training_step.py`).") + (
            f"; with checkpoints a step on {memory['nodes']:,} nodes peaks at "
            f"{memory['peak_gib']:.1f} GiB (`training_step.py`)."
        )
    return lines


def depth() -> list[str]:
    """Say what flows.py and recurrent.py found."""
    rows = results("flows")["summary"]
    worse = [f"{row['pair']} on {row['set']}" for row in rows if not row["no_worse"]]
    step = median(row["ratio"] for row in rows if row["pair"] == "continuous")
    seeds = min(row["seeds"] for row in rows)
    gaps = results("recurrent")["table"]
    missing = ", ".join(f"{100 * row['missing']:g}" for row in gaps)
    errors = [", ".join(f"{row[k]['mean']:.2f}" for row in gaps) for k in ("ODE-RNN", "GRU")]
    return [
        f"Flows beside zuko's of the same architecture, {len(rows)} pairs of flow and data, "
        f"{seeds} seeds: held-out likelihood no worse within a standard error in "
        f"{len(rows) - len(worse)} of {len(rows)}"
        + (f" (worse: {', '.join(worse)})" if worse else "")
        + f"; a training step of the continuous flow takes {step:.2f} of zuko's (`flows.py`).",
        f"Irregular series with {missing} % of readings missing: ODE-RNN errs by {errors[0]} of "
        f"the spread, a GRU that is told the gaps by {errors[1]} (`recurrent.py`).",
    ]


def forecasts() -> list[str]:
    """Say what traffic.py found."""
    if not results("traffic"):
        return []
    content = results("traffic")
    lines = []
    for case, runs in content["cases"].items():
        for found in runs.values():
            errors, base = found["rmse_mae"], found["baselines"]
            names = ("last_value", "graph_autoregression", "vector_autoregression")
            beside = ", ".join(
                f"{name.replace('_', ' ')} {' / '.join(f'{v:.2f}' for v in last_of(base[name]))}"
                for name in names
                if name in base
            )
            shares = [100 * share for share in found["coverage"]]
            held = f"{min(shares):.1f}"
            if max(shares) - min(shares) >= 0.1:
                held += f"-{max(shares):.1f}"
            seeds = found["seeds"]
            lines.append(
                f"Forecast of {named(case)} by {found['chosen'][0].replace('_', ' ')}, "
                f"{seeds} seed{'s' if seeds > 1 else ''}, RMSE / MAE: {horizons(errors)} "
                f"({beside}); 90 % intervals hold {held} % (`traffic.py`)."
            )
    return lines


def named(case: str) -> str:
    """Return the name of a case, with the share it was trained on where it has two."""
    name, _, share = case.partition(" ")
    words = name.replace("_", " ")
    return f"{words} (trained on {100 * float(share):.0f} %)" if share else words


def horizons(errors: dict[str, list[float]]) -> str:
    """Return root mean square and mean absolute errors over the first steps."""
    if list(errors) == ["1"]:
        return "{:.2f} / {:.2f} one step ahead".format(*errors["1"])
    said = ", ".join(
        f"{rmse:.2f} / {mae:.2f} over the first {steps}" for steps, (rmse, mae) in errors.items()
    )
    return f"{said} steps"


def last_of(errors: dict[str, list[float]]) -> list[float]:
    """Return the errors over the longest horizon."""
    return errors[max(errors, key=int)]


def classification() -> list[str]:
    """Say what citation.py found."""
    if not results("citation"):
        return []
    return [
        f"{name.capitalize()}, {results('citation')['split']}, {found['seeds']} seeds: "
        f"{100 * found['accuracy']:.1f} +- {100 * found['accuracy_deviation']:.1f} % of the test "
        f"nodes right, graph convolutions trained in the same way {100 * found['gcn']:.1f} +- "
        f"{100 * found['gcn_deviation']:.1f} %, label propagation "
        f"{100 * found['label_propagation']:.1f} %; {found['cpu_seconds_a_seed']:.0f} CPU seconds "
        "a seed for both networks (`citation.py`)."
        for name, found in results("citation")["sets"].items()
    ]


def section() -> str:
    """Return the section between its marks."""
    lines = [
        *solvers(),
        *simulation(),
        *depth(),
        *learning(),
        *neural(),
        *forecasts(),
        *classification(),
        *discovery(),
        *conditions(),
        *distributions(),
        *growth(),
        *spread(),
        *analysis(),
        *control(),
        *roads(),
        *generation(),
        *moses(),
        *killed(),
        *prediction(),
        *qm9_properties(),
        *goal_directed(),
        *constrained(),
    ]
    return "\n".join([BEGIN, *(f"- {line}" for line in lines), END])


def main() -> None:
    """Write or check the README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    wanted = before + section() + rest.split(END)[1]
    if options.check:
        sys.exit("README.md: run python benchmarks/summary.py" if wanted != text else 0)
    README.write_text(wanted, encoding="utf-8")
    print(section())


if __name__ == "__main__":
    main()
