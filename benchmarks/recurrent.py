"""ODE-RNN on irregular series beside a GRU that is told the time gaps: error against missing share.

Series are mixtures of two sines at irregular times (`graphtide.lessons.sines`); 0, 30, 50 and 70 %
of their values are left out at random. Both models say the value at each time before it is read;
they learn from the values that were read, and are tested on all values of other series, past the
first 8 entries. The error is the root mean square error over the standard deviation of the truth.

    GRU      torch.nn.GRU on [value or zero, mask, gap]; its read-out is told the gap to come
    ODE-RNN  graphtide's `DifferentialCell`, one step of the midpoint rule a gap, a like read-out

Both have about as many parameters and the same optimiser, rate and loss. A descent of the GRU takes
a quarter of the seconds, so it is given four times as many. Every 25 descents the error on further
series is taken, and the best state of each model is kept.

    python benchmarks/recurrent.py [--seeds 3] [--steps 300]
"""

import argparse
import copy
import json
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn

from graphtide.lessons.lesson import descend, parameter_count
from graphtide.lessons.sines import Forecaster, gaps_of, read_out, sine_mixtures, square_error
from graphtide.nn.recurrent import DifferentialCell, RecurrentNetwork, Series

MODELS = ("GRU", "ODE-RNN")
SHARES = (0.0, 0.3, 0.5, 0.7)
SERIES = {"train": 200, "validation": 100, "test": 500}
RESULTS = Path(__file__).parent / "results" / "recurrent.json"


class GapGRU(nn.Module):
    """A GRU with mask and time gap among its inputs."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.gru = nn.GRU(3, hidden_size, batch_first=True)
        self.decoder = read_out(hidden_size, told_gap=True)

    def forward(self, series: Series) -> Tensor:
        """Return the expected values, (B, T)."""
        gaps = gaps_of(series)
        mask = series.mask.to(series.values.dtype)
        values = torch.where(series.mask, series.values, 0.0)
        after, _ = self.gru(torch.cat([values, mask, gaps], dim=-1))
        before = torch.cat([torch.zeros_like(after[:, :1]), after[:, :-1]], dim=1)
        return self.decoder(torch.cat([before, gaps], dim=-1)).squeeze(-1)


class OdeRnn(Forecaster):
    """An ODE-RNN with the lessons' read-out."""

    def __init__(self, hidden_size: int) -> None:
        cell = DifferentialCell(1, hidden_size)
        super().__init__(RecurrentNetwork(cell, steps=1, method="midpoint"))


def measure(name: str, missing: float, seed: int, steps: int) -> dict[str, object]:
    """Train one model and return its relative test error."""
    generator = torch.Generator().manual_seed(seed)
    data = {part: sine_mixtures(n, generator, missing=missing) for part, n in SERIES.items()}
    torch.manual_seed(seed)
    model = GapGRU(40) if name == "GRU" else OdeRnn(32)
    best, kept, done = float("inf"), copy.deepcopy(model.state_dict()), 0

    def watch(_share: float) -> None:
        nonlocal best, kept, done
        done += 1
        if done % 25 == 0:
            with torch.no_grad():
                error = float(square_error(model, data["validation"], read_only=True))
            if error < best:
                best, kept = error, copy.deepcopy(model.state_dict())

    began = time.process_time()
    count = 4 * steps if name == "GRU" else steps
    descend(
        model,
        lambda: square_error(model, data["train"], read_only=True),
        steps=count,
        rate=0.01,
        progress=watch,
    )
    seconds = time.process_time() - began
    model.load_state_dict(kept)
    with torch.no_grad():
        error = float(square_error(model, data["test"], read_only=False).sqrt())
    return {
        "model": name,
        "missing": missing,
        "seed": seed,
        "relative_error": error / float(data["test"].truth.std()),
        "parameters": parameter_count(model),
        "descents": count,
        "cpu_seconds": round(seconds, 1),
    }


def main() -> None:
    """Read the options, measure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300, help="descents of the ODE-RNN")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for seed in range(options.seeds):
        for missing in SHARES:
            for name in MODELS:
                rows.append(measure(name, missing, seed, options.steps))
                print(rows[-1], flush=True)
        write(rows)
    for row in table_of(rows):
        print(row)


def table_of(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return mean and standard deviation over seeds by missing share and model."""
    table = []
    for missing in SHARES:
        row: dict[str, object] = {"missing": missing}
        for name in MODELS:
            errors = [
                float(str(row["relative_error"]))
                for row in rows
                if (row["model"], row["missing"]) == (name, missing)
            ]
            spread = statistics.stdev(errors) if len(errors) > 1 else None
            row[name] = {"mean": statistics.mean(errors), "standard_deviation": spread}
        table.append(row)
    return table


def write(rows: list[dict[str, object]]) -> None:
    """Write the results of all seeds so far."""
    written = {
        "what": __doc__,
        "series": SERIES,
        "table": table_of(rows),
        "rows": rows,
        "threads": 1,
        "machine": {"processor": platform.machine(), "system": platform.platform()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("graphtide", "torch", "numpy")},
        },
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
