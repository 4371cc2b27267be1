"""The lines of README's measured section on analysis and control."""

from __future__ import annotations

from statistics import median

from summary_shared import results


def analysis() -> list[str]:
    """Say what analysis.py found: known truths, large networks, learned fields."""
    found = results("analysis")
    lines = []
    chaos, large, learned = (found.get(name, {}) for name in ("chaos", "large", "learned"))
    if chaos:
        exponents = "; ".join(
            f"{name.capitalize()} {one['exponents'][0]:.4f} (published {one['literature']})"
            for name, one in chaos.items()
        )
        lines.append(f"Largest Lyapunov exponents: {exponents} (`analysis.py`).")
    if large:
        times = ", ".join(
            f"{name} {one['newton_cpu_seconds'] + one['eigenvalues_cpu_seconds']:.1f}"
            for name, one in large.items()
        )
        lines.append(
            f"Fixed point and its ten leading eigenvalues on 100,000 nodes, CPU seconds: {times} "
            "(`analysis.py`)."
        )
    for name, one in learned.items():
        parts = []
        for kind in ("closed_form", "message_passing"):
            errors = one[kind]["relative_errors"]
            part = (
                f"{kind.replace('_', ' ')} {100 * errors[0]:.2g} % for the leading one, "
                f"{100 * median(errors):.2g} % in the median of ten"
            )
            if "true_inside" in one[kind]:
                part += f", {100 * one[kind]['true_inside']:.0f} % of them in their 90 % intervals"
            parts.append(part)
        lines.append(
            f"Eigenvalues at rest of a field learned from data against the true system's, {name}: "
            f"{'; '.join(parts)} (`analysis.py`)."
        )
    return lines


def control() -> list[str]:
    """Say what control.py found: energy, tipping points, traffic."""
    found = results("control")
    lines = []
    if "energies" in found:
        off = 100 * found["energies"]["largest_relative_error"]
        count = len(found["energies"]["networks"])
        lines.append(
            f"Energy of optimal control against the analytic least energy on {count} linear "
            f"networks: at most {off:.2g} % off (`control.py`)."
        )
    if "learned_tipping" in found:
        parts = [
            f"{name} {100 * abs(one[kind]['relative_error_to_true']):.2g} % ({words})"
            for name, one in found["learned_tipping"].items()
            for kind, words in (("closed_form", "closed form"), ("message_passing", "neural"))
            if one.get(kind, {}).get("relative_error_to_true") is not None
        ]
        lines.append(
            f"Tipping point of a field learned from data against the true law's: "
            f"{', '.join(parts)} (`control.py`)."
        )
    if "rescues" in found:
        cases = [one for one in found["rescues"].values() if "drivers" in one]
        planned = sum(one["distance_later_without_inputs"] < 1e-3 for one in cases)
        held = sum(one["mpc_distance_later_without_inputs"] < 1e-3 for one in cases)
        lines.append(
            f"Collapsed gene and mutualistic networks of 200 nodes brought back by driving 5 % of "
            f"the nodes: {planned} of {len(cases)}; by receding horizon with 5 % error in every "
            f"parameter of the model and noise: {held} of {len(cases)} (`control.py`)."
        )
    if "folds" in found:
        for law in ("gene", "mutualistic"):
            errors = {
                key.split(", ")[1]: 100 * one["relative_error"]
                for key, one in found["folds"].items()
                if key.startswith(law) and one.get("relative_error") is not None
            }
            said = ", ".join(f"{name.replace('_', ' ')} {e:+.0f} %" for name, e in errors.items())
            lines.append(
                f"Fold of the whole {law} system from where the one-dimensional reduction puts it "
                f"(beta_eff): {said} (`control.py`)."
            )
    return lines


def roads() -> list[str]:
    """Return what metering, speed limits and learned roads save."""
    one = results("roads")
    if "patterns_done" not in one:
        return []
    lines = [
        f"Ramp metering on a network of 100 road cells, {one['patterns_done']} demand "
        f"patterns: total delay {100 * one['saved_of_no_control']:.0f} % below no control "
        f"(ALINEA {100 * one['saved_by_alinea']:.0f} %; least saving in a pattern "
        f"{100 * one['least_saved_of_no_control']:.1f} %), worse than ALINEA in "
        f"{one['patterns_worse_than_alinea']} patterns (`roads.py`)."
    ]
    told = {
        "predictive_nominal": "planned on numbers of the roads that are wrong by 20 %",
        "predictive_learned": "planned on numbers learned from three days of densities and speeds",
        "predictive_limits": "with speed limits before the merges beside the meters",
    }
    said = [
        f"{words} {100 * one[name]['saved_of_no_control']:.1f} %"
        for name, words in told.items()
        if name in one
    ]
    if said:
        some = one[next(name for name in told if name in one)]
        lines.append(
            f"Total delay saved in {some['patterns_done']} of these patterns: planned on the true "
            f"law {100 * some['saved_by_predictive']:.1f} %, {', '.join(said)} (`roads.py`)."
        )
    return lines
