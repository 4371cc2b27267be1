"""The lines of README's measured section on mechanisms."""

from __future__ import annotations

from statistics import mean, median

from summary_shared import results


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
    named, other_powers = {}, []
    for key, cell in cells.items():
        if "right_family" in cell:
            name = key.split()[0]
            other = cell["named_instead"].get(name, 0) / cell["seeds"]  # a sum of other powers
            named[name] = cell["right_family"] + other
            if other:
                other_powers.append(f"{name} {100 * other:.0f} %")
    if named:
        low = [f"{name} {100 * share:.0f} %" for name, share in named.items() if share < 0.95]
        lines.append(
            f"The right family of {len(named)} is named in {100 * mean(named.values()):.1f} % of "
            f"samples of 10,000, least in {100 * min(named.values()):.0f} %"
            f"{'; below 95 %: ' + ', '.join(low) if low else ''}"
            f"{'; with other powers: ' + ', '.join(other_powers) if other_powers else ''} "
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


def growth() -> list[str]:
    """Say what growth.py found."""
    content = results("growth")
    settings = {k: v for k, v in content["nettide"].items() if k != "links"}
    shares = ", ".join(f"{100 * v['share_within_10_percent']:.0f}" for v in settings.values())
    names = ", ".join(settings)
    links = 100 * content["nettide"]["links"]["share_within_10_percent"]
    compared = ("NetTide", "logistic", "exponential")
    parts = [
        f"{name} {percent(row['chosen_error'])} by {row['chosen_law']} "
        + f"({', '.join(percent(row['errors'][law]) for law in compared)})"
        for name, row in content["real"].items()
    ]
    return [
        "NetTide from its own curves with 5 % noise: all four parameters within a tenth in "
        f"{shares} % of runs ({names}), those of its law of links in {links:.0f} %. "
        "Forecasts of the last 30 % of real curves, error in % of "
        f"the law chosen before it ({', '.join(compared)}): {'; '.join(parts)} (`growth.py`)."
    ]


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
