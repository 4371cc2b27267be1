"""Generation on MOSES: the distance to both of its test sets, beside published models.

Trained on MOSES's own training set; 30,000 molecules are made, as in its published tables, and
scored against its test set and its scaffold test set. Published for the character network
(CharRNN): 0.073 and 0.520; no graph model had come near it.

    python benchmarks/moses.py --data DATA [--minutes 120] [--model construction] [--device cuda]
    python benchmarks/moses.py --data DATA --minutes 120 --made FILE
    python benchmarks/moses.py --data DATA --model digress

FILE holds molecules that a model made after so many minutes: those of a run that was interrupted
before they were scored lie in the folder of ``--samples``, by default in the cache.
DATA holds molecules/moses_train.csv.gz, moses_test.csv.gz, moses_test_scaffolds.csv.gz and
peer_samples/digress_moses.smi.gz, which ``digress`` scores. Figures are printed and written to
benchmarks/results/moses.json.
"""

from __future__ import annotations

from pathlib import Path

from generation import Split, keep, parser, run_model

from graphtide.data.fetch import cache_folder
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.files import read_molecules
from graphtide.molecules.metrics import score

PUBLISHED = {"fcd_test": 0.073, "fcd_test_scaffolds": 0.520}


def main() -> None:
    """Train, make molecules, and score them against both test sets."""
    options = parser("Generation on MOSES.")
    options.add_argument("--minutes", type=float, default=120.0)
    options.add_argument("--model", default="construction")
    options.add_argument("--made", type=Path, help="score these instead of training")
    options.set_defaults(number=30_000)
    asked = options.parse_args()
    folder = asked.data / "molecules"
    tests = {
        name: read_molecules(folder / f"moses_{name}.csv.gz").smiles
        for name in ("test", "test_scaffolds")
    }
    if asked.model == "digress":
        made = read_molecules(folder / "peer_samples" / "digress_moses.smi.gz").smiles
        asked.number, figures = len(made), {}
    elif asked.made is not None:
        made = read_molecules(asked.made).smiles
        asked.number, figures = len(made), {"seed": asked.seed, "minutes": asked.minutes}
    else:
        smiles = read_molecules(folder / "moses_train.csv.gz").smiles
        training = Corpus.from_smiles(smiles, cache=cache_folder() / "corpora")
        asked.samples = asked.samples or cache_folder() / "moses_samples"
        split = Split(training, list(smiles), list(tests["test"]))
        _, figures = run_model(asked.model, split, asked.minutes, asked, scored=False)
        made = read_molecules(asked.samples / f"{asked.model}.smi").smiles
    figures = {**figures, "published_char_rnn": PUBLISHED, "number": asked.number}
    for name, real in tests.items():
        found = score(
            list(made),
            list(real),
            number=asked.number,
            reference_size=30_000,
            cache=cache_folder() / "scores",
        ).metrics()
        figures[f"fcd_{name}"] = found["fcd"]
        figures[f"fcd_{name}_floor"] = found["fcd_floor"]
        figures[f"scaffold_similarity_{name}"] = found["scaffold_similarity"]
        figures["validity"] = found["validity"]
    name = asked.model if asked.model == "digress" else f"{asked.model}, {asked.minutes:g} minutes"
    keep(asked.results, "moses", name, figures)


if __name__ == "__main__":
    main()
