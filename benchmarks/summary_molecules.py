"""The lines of README's measured section on molecules."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
MODELS = ("construction", "flow_matching", "flow")


def generation() -> list[str]:
    """Return what the generators reach, beside a peer's own samples on the same yardstick."""
    lines = []
    for name, title in (("qm9", "QM9"), ("zinc250k", "ZINC250k")):
        path = RESULTS / f"{name}.json"
        found = json.loads(path.read_text()) if path.exists() else {}
        for key, figures in found.items():
            model = key.split(",")[0]
            if model not in MODELS:
                continue
            lines.append(
                f"{title}, {model.replace('_', ' ')}, {figures['minutes']:g} minutes of training "
                f"on {figures['threads']} thread: "
                f"{100 * figures['validity_before_correction']:.1f} % valid and "
                "connected as drawn, "
                f"{100 * figures['validity']:.1f} % after correction, "
                f"{100 * figures['uniqueness']:.1f} % of these distinct, FCD {figures['fcd']:.3f} "
                f"(real against real {figures['fcd_floor']:.3f}) of {figures['number']:,} samples "
                f"against held-out molecules; {figures['molecules_per_second']:,.0f} molecules a "
                f"second (`{name}.py`)."
            )
        peer = found.get("peers")
        if peer:
            lines.append(
                f"{title}, DiGress's own published samples on the same yardstick: "
                f"{100 * peer['validity']:.1f} % valid, {100 * peer['uniqueness']:.1f} % of these "
                f"distinct, FCD {peer['fcd']:.3f} (`{name}.py`)."
            )
        trip = found.get("round_trip")
        if trip:
            wrong = len(trip["graphs_not_the_same"]) + len(trip["actions_not_the_same"])
            lines.append(
                f"{title}: {trip['encoded']:,} of {trip['molecules']:,} molecules become typed "
                f"graphs and sequences of actions; {wrong} do not come back the same "
                f"(`{name}.py`)."
            )
    return lines
