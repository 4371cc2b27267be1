"""Generation on ZINC250k: errors against minutes of training, and against steps of sampling.

The split is that of generation.py; stereochemistry is set aside.

    python benchmarks/zinc250k.py --data DATA [--minutes 15 30 60 120]
        [--models construction flow_matching] [--steps 10 25 50 100 250] [--device cuda]
    python benchmarks/zinc250k.py --data DATA --work FOLDER --models flow_matching --minutes 60
        --add --steps 100 --distortion 8 --temperature 1.15

DATA holds molecules/zinc250k.smi.gz. Each number of minutes is a training of its own; after the
longest one of flow matching, samples are drawn with each number of steps. Figures are printed and
written to benchmarks/results/zinc250k.json, one entry a training. With ``--add``, a model whose
checkpoint is in FOLDER and whose figures are there is sampled in more ways.
"""

from __future__ import annotations

from generation import Split, curve_of_steps, keep, kept, parser, run_model, trained_model

from graphtide.molecules.files import read_molecules


def main() -> None:
    """Train with each number of minutes, and keep the figures of each."""
    options = parser("Generation on ZINC250k.")
    options.add_argument("--minutes", type=float, nargs="+", default=[15.0, 30.0, 60.0, 120.0])
    options.add_argument("--models", nargs="+", default=["construction", "flow_matching", "flow"])
    options.add_argument("--steps", type=int, nargs="+", default=[10, 25, 50, 100, 250])
    options.add_argument("--distortion", type=float, help="of the times of the curve of steps")
    options.add_argument("--temperature", type=float, help="of the curve of steps")
    options.add_argument(
        "--add", action="store_true", help="only add points of the curve to figures that are there"
    )
    options.add_argument("--held-out", type=int, default=20_000)
    asked = options.parse_args()
    if asked.add and asked.work is None:
        options.error("--add needs --work FOLDER, where the checkpoint of the trained model is")
    smiles = read_molecules(asked.data / "molecules" / "zinc250k.smi.gz").smiles
    split = Split.of(smiles, asked.held_out)
    settings = {
        name: getattr(asked, name)
        for name in ("distortion", "temperature")
        if getattr(asked, name) is not None
    }
    for name in asked.models:
        for minutes in sorted(asked.minutes):
            entry = f"{name}, {minutes:g} minutes"
            figures = kept(asked.results, "zinc250k", entry) if asked.add else None
            if figures is None:
                model, figures = run_model(name, split, minutes, asked)
                keep(asked.results, "zinc250k", entry, figures)
            else:
                model, told = trained_model(name, split, minutes, asked)
                if told["held_out_loss"] != figures["held_out_loss"]:
                    raise SystemExit(f"the model in {asked.work} is not that of the figures there")
            if name == "flow_matching" and minutes == max(asked.minutes):
                before = figures.get("steps_of_sampling", {})
                for curve in curve_of_steps(model, split, asked.steps, asked, **settings):
                    figures["steps_of_sampling"] = {**before, **curve}
                    keep(asked.results, "zinc250k", entry, figures)


if __name__ == "__main__":
    main()
