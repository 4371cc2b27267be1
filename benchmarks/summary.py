"""Write the README's section of measured figures from the results of the benchmarks.

    python benchmarks/summary.py [--check]

Each sentence is made from the JSON that the named script wrote; `--check` only tells (exit code 1)
whether the README still says what the results say.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import mean, median

from summary_analysis import analysis, control, roads
from summary_molecules import constrained, generation, goal_directed, killed, moses, prediction

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def results(name: str) -> dict:
    """Return what a benchmark wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text())


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
    laws = results("distil")
    clean = [r for k, r in laws.items() if k.split(":")[1] == "0"]
    lines.append(
        f"Laws read out of neural fields: {sum(r['exact'] for r in clean)} of {len(clean)} systems "
        "exact, without noise (`distil.py`)."
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


def discovery() -> list[str]:
    """Say what discovery.py found."""
    content = results("discovery")
    cells = content["cells"]
    noise = [key.removeprefix("all ") for key in cells if key.startswith("all ")]
    shares = ", ".join(f"{100 * cells[f'all {n}']['exact']:.0f}" for n in noise)
    levels = ", ".join(f"{100 * float(n):g}" for n in noise)
    count = sum(key.endswith(f" {noise[0]}") for key in cells) - 1
    error = 100 * cells["all 0.1"]["median_coefficient_error"]
    return [
        f"Discovery over {count} systems, {content['seeds']} seeds each: the exact law in {shares} "
        f"% of runs at {levels} % noise; median error of the coefficients at 10 % noise "
        f"{error:.1f} %; {cells['all 0.1']['median_cpu_seconds']:.1f} CPU seconds a run (median; "
        f"largest {cells['all 0.1']['largest_cpu_seconds']:.0f}; `discovery.py`)."
    ]


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


def distributions() -> list[str]:
    """Say what distributions.py found."""
    content = results("distributions")
    lines = []
    cells = content.get("recovery", {})
    sizes = sorted({int(key.split()[1]) for key in cells})
    parts = []
    for size in sizes:
        mine = [cell for key, cell in cells.items() if key.endswith(f" {size}")]
        parts.append(f"{100 * mean(c['covered'] for c in mine):.1f} % at {size:,} ({len(mine)})")
    if parts:
        lines.append(
            f"Distributions, {next(iter(cells.values()))['seeds']} seeds of each family: "
            f"parameters within two standard errors in {', '.join(parts)} samples (families in "
            "brackets; "
            "`distributions.py`)."
        )
    named = {key.split()[0]: c["right_family"] for key, c in cells.items() if "right_family" in c}
    if named:
        low = [f"{name} {100 * share:.0f} %" for name, share in named.items() if share < 0.95]
        lines.append(
            f"The right family of {len(named)} is named in {100 * mean(named.values()):.1f} % of "
            f"samples of 10,000{'; below 95 %: ' + ', '.join(low) if low else ''} "
            "(`distributions.py`)."
        )
    rows = [row for row in content.get("real", {}).values() if "scipy" in row]
    if rows:
        better = sum(row["ks"] <= row["scipy"]["ks"] for row in rows)
        published = "; ".join(
            f"{name} {row['tail_exponent']:.2f} from {row['x_min']:,.0f} "
            f"({row['published_exponent']:g} from {row['published_x_min']:,.0f})"
            for name, row in content["real"].items()
            if "published_exponent" in row
        )
        lines += [
            f"Distance from {len(rows)} real sets: no larger than the best of ten SciPy families "
            f"on {better} (`distributions.py`).",
            f"Exponent and x_min of power-law tails, in brackets as published: {published} "
            "(`distributions.py`).",
        ]
    times = content.get("time", {})
    ours = {
        size: [row for key, row in times.items() if key.endswith(f" {size}") and len(row) == 3]
        for size in (100_000, 1_000_000)
    }
    if all(ours.values()):
        whole, free = (
            [median(row[key] for row in ours[size]) for size in ours]
            for key in ("whole_cpu_seconds", "free_curve_cpu_seconds")
        )
        peer = times.get("powerlaw 100000", {})
        stopped = peer.get("stopped_after_seconds")
        beside = f"; the powerlaw package was stopped after {stopped} s at 100,000"
        lines.append(
            f"Explaining 100,000 / 1,000,000 sizes takes {whole[0]:.1f} / {whole[1]:.1f} CPU "
            f"seconds, the free curve alone {free[0]:.2f} / {free[1]:.2f}"
            f"{beside if stopped else ''} (`distributions.py`)."
        )
    return lines


def spread() -> list[str]:
    """Say what spread.py found."""
    content = results("spread")
    large = content["speed"][-1]
    sizes = content["final_sizes"]
    rows = [row for row in content["mean_field"].values() if isinstance(row, dict)]
    nodes = list(rows[0])[-1]
    worst = max(row[nodes] for row in rows)
    inferred = content["inference"]
    precision = ", ".join(
        f"{row['average_precision']:.2f} from {name}"
        for name, row in inferred.items()
        if isinstance(row, dict)
    )
    p_values = [row["p_value"] for row in sizes.values() if isinstance(row, dict)]
    return [
        f"Exact stochastic epidemics on {large['nodes']:,} nodes: SIR {large['sir']['ratio']:.0f}, "
        f"SIS {large['sis']['ratio']:.0f} times as fast as EoN's event-driven fast_SIR and "
        f"fast_SIS in CPU time ({large['sir']['graphtide_cpu_seconds']:.2f} s a run of SIR), "
        f"final sizes alike (two-sample tests over {sizes['runs']:,} runs: p = "
        f"{', '.join(f'{p:.2f}' for p in p_values)}); on complete graphs of {int(nodes):,} nodes "
        f"the mean of runs is within {100 * worst:.1f} % of the mean field for si, sis, sir and "
        "seir (`spread.py`).",
        f"The network of {inferred['nodes']} nodes ({inferred['directed_edges']} directed edges) "
        f"from the times of cascades alone, average precision: {precision} (`spread.py`).",
    ]


def percent(share: float) -> str:
    """Write a share in per cent, without an exponent."""
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"


def growth() -> list[str]:
    """Say what growth.py found."""
    content = results("growth")
    settings = {k: v for k, v in content["nettide"].items() if k != "links"}
    shares = ", ".join(f"{100 * v['share_within_10_percent']:.0f}" for v in settings.values())
    names = ", ".join(settings)
    compared = ("NetTide", "logistic", "exponential")
    parts = [
        f"{name} {percent(row['chosen_error'])} by {row['chosen_law']} "
        + f"({', '.join(percent(row['errors'][law]) for law in compared)})"
        for name, row in content["real"].items()
    ]
    return [
        "NetTide from its own curves with 5 % noise: all four parameters within a tenth in "
        f"{shares} % of runs ({names}). Forecasts of the last 30 % of real curves, error in % of "
        f"the law chosen before it ({', '.join(compared)}): {'; '.join(parts)} (`growth.py`)."
    ]


def forecasts() -> list[str]:
    """Say what traffic.py found."""
    if not (RESULTS / "traffic.json").is_file():
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
            own = ", ".join(
                f"{rmse:.2f} / {mae:.2f} over the first {steps}" for steps, (rmse, mae) in
                errors.items()
            )  # fmt: skip
            shares = [100 * share for share in found["coverage"]]
            lines.append(
                f"Forecast of {case.replace('_', ' ')} by {found['chosen'][0].replace('_', ' ')}, "
                f"{found['seeds']} seeds, RMSE / MAE: {own} steps ({beside} over all); 90 % "
                f"intervals hold {min(shares):.1f}-{max(shares):.1f} % (`traffic.py`)."
            )
    return lines


def last_of(errors: dict[str, list[float]]) -> list[float]:
    """Return the errors over the longest horizon."""
    return errors[max(errors, key=int)]


def classification() -> list[str]:
    """Say what citation.py found."""
    if not (RESULTS / "citation.json").is_file():
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


def conditions() -> list[str]:
    """Say what discovery_conditions.py found, for the conditions that were run."""
    found = results("discovery").get("conditions", {})
    lines = []
    for name, words in (
        ("hidden", "a tenth of the nodes unseen"),
        ("edges", "a tenth of the edges wrong"),
    ):
        cells = {key.split()[1]: cell for key, cell in found.items() if key.startswith(f"{name} ")}
        if cells:
            shares = " / ".join(f"{100 * cell['exact']:.0f}" for cell in cells.values())
            levels = " / ".join(f"{100 * float(noise):g}" for noise in cells)
            runs = sum(cell["runs"] for cell in cells.values())
            lines.append(
                f"Discovery with {words}: the exact law in {shares} % of runs at {levels} % noise "
                f"({runs} runs, `discovery_conditions.py`)."
            )
    covered = {k.split()[1]: c for k, c in found.items() if k.startswith("intervals ")}
    if covered:
        shares = " / ".join(f"{100 * cell['covered']:.0f}" for cell in covered.values())
        levels = " / ".join(f"{100 * float(noise):g}" for noise in covered)
        lines.append(
            f"90 % intervals of found coefficients cover in {shares} % at {levels} % noise "
            "(`discovery_conditions.py`)."
        )
    network = found.get("network 0.01")
    if network:
        lines.append(
            f"Unknown networks of 50 nodes at 1 % noise: mean area under the precision-recall "
            f"curve {network['average_precision']:.3f} ({network['runs']} runs, "
            "`discovery_conditions.py`)."
        )
    return lines


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
