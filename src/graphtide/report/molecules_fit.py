"""The page of ``molecules fit``: new molecules, how near they are to real ones, the training."""

from __future__ import annotations

from graphtide.files import read_text
from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import BASELINE, MODEL, canvas, svg_of
from graphtide.report.molecule_chain import chain_section
from graphtide.report.molecule_figures import (
    descriptor_figure,
    metrics_table,
    molecule_grid,
    published_table,
)
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["molecules_fit_page"]

_DRAWN = 20
_NAMED = 20
_WORDS = {
    "construction": "builds each molecule atom by atom and bond by bond, in an order of its own, "
    "and takes only actions that keep it valid and connected",
    "flow_matching": "turns noise into a molecule by a Markov chain in continuous time",
    "flow": "maps noise to a molecule by an invertible map with an exact likelihood",
}


def molecules_fit_page(run: Run) -> Page:
    """Return the page of a trained generator."""
    metrics = run.read_metrics()
    sections = []
    scored = (run.path / "scores.csv").is_file()
    if (run.path / "samples.smi").is_file():
        sections.append(_molecules_section(run))
    if (run.path / "walk.csv").is_file():
        sections.append(_walk_section(run))
    if (run.path / "frames.csv").is_file():
        sections.append(chain_section(run.read_table("frames")))
    if scored:
        sections += [_scores_section(run, metrics), _descriptors_section(run)]
    beside = _beside(run)
    if scored and beside is not None:
        note = (
            "Published figures were taken from 10,000 molecules or more, against references of "
            "their authors' own; a distance from few molecules, as here, comes out larger: compare "
            "with `molecules sample --number 10000` and `molecules score`."
        )
        sections.append(
            Section("Beside published figures", (note,), (published_table(metrics, beside),))
        )
    sections.append(_training_section(run, metrics))
    if (run.path / "notices.csv").is_file():
        sections.append(_notices_section(run, metrics))
    return Page("A generator of molecules", _lead(metrics), tuple(sections), provenance(run))


def _lead(metrics: dict[str, object]) -> str:
    model = str(metrics["model"])
    text = (
        f"Learned from {number(metrics['molecules'])} molecules of up to "
        f"{number(metrics['most_atoms'])} atoms in {_duration(metrics['training_seconds'])}. The "
        f"model ({model.replace('_', ' ')}) {_WORDS.get(model, 'makes molecules')}."
    )
    if metrics.get("validity") is None:
        return text
    text += (
        f" Of {number(metrics['samples'])} samples {_percent(metrics['validity'])} are valid and "
        f"connected, {_percent(metrics['uniqueness'])} of these distinct"
    )
    if metrics.get("novelty") is not None:
        text += f" and {_percent(metrics['novelty'])} of those not in the training set"
    return text + "."


def _molecules_section(run: Run) -> Section:
    smiles = list(dict.fromkeys(read_text(run.path / "samples.smi").split("\n")[:-1]))[:_DRAWN]
    grid = molecule_grid(
        smiles,
        caption=f"The first {len(smiles)} distinct samples.",
        finding=f"{len(smiles)} molecules that the model made.",
        name="samples",
    )
    return Section("New molecules", (), (grid,))


def _walk_section(run: Run) -> Section:
    walk = run.read_table("walk").dropna()
    smiles = [str(text) for text in walk["smiles"]]
    grid = molecule_grid(
        smiles,
        labels=[f"{share:.2f}" for share in walk["share"]],
        caption="Molecules on the straight line between two samples in the latent space.",
        finding=f"{len(set(smiles))} different molecules on the way from one sample to another.",
        name="walk",
    )
    return Section("A walk through the latent space", (), (grid,))


def _scores_section(run: Run, metrics: dict[str, object]) -> Section:
    caption = (
        f"{number(metrics['samples'])} samples against {number(metrics['reference_number'])} "
        "molecules held out of training; “real against real” is what one half of those scores "
        "against the other."
    )
    return Section("Metrics", (), (metrics_table(run.read_table("scores"), caption=caption),))


def _descriptors_section(run: Run) -> Section:
    tensors = run.read_tensors("descriptors")
    figure = descriptor_figure(tensors["generated"], tensors["reference"])
    return Section("Descriptors", (), (figure,))


def _training_section(run: Run, metrics: dict[str, object]) -> Section:
    history = run.read_table("training")
    figure, (axis,) = canvas()
    axis.plot(history["steps"], history["loss"], color=BASELINE, label="training")
    axis.plot(history["steps"], history["score"], color=MODEL, label="held out")
    axis.set_xlabel("steps")
    axis.set_ylabel("loss a molecule")
    axis.legend(frameon=False)
    picture = Figure(
        svg_of(figure),
        "Loss a molecule; the held-out one is of the mean of the weights, whose best is kept.",
        f"The held-out loss ends at {number(metrics['held_out_loss'], 4)}.",
        history.filter(["steps", "loss", "score", "learning_rate", "seconds"]),
        "training",
    )
    text = (
        f"{number(metrics['weights'])} weights, {number(metrics['steps'])} steps, best held-out "
        f"loss {number(metrics['held_out_loss'], 4)}. Types of atoms: "
        f"{', '.join(map(str, _listed(metrics['types'])))}."
    )
    return Section("Training", (text,), (picture,))


def _notices_section(run: Run, metrics: dict[str, object]) -> Section:
    frame = run.read_table("notices")
    rows = tuple(tuple(map(str, row)) for row in frame.head(_NAMED).itertuples(index=False))
    caption = (
        f"{number(metrics['lines_set_aside'])} lines were set aside and of "
        f"{number(metrics['mixtures'])} only a part was taken; "
        + ("all are shown." if len(rows) == len(frame) else "all are in notices.csv.")
    )
    return Section(
        "Lines that were not taken as they stand",
        (),
        (Table(caption, tuple(map(str, frame.columns)), rows),),
    )


def _beside(run: Run) -> str | None:
    """Return the set whose published figures belong beside this run's."""
    name = str(run.configuration.get("corpus", "")).lower()
    return next((known for known in ("qm9", "zinc250k", "moses") if known in name), None)


def _listed(value: object) -> list[object]:
    assert isinstance(value, list)  # the run's own metrics
    return value


def _percent(value: object) -> str:
    return f"{100 * value:.4g} %" if isinstance(value, int | float) else "none"


def _duration(seconds: object) -> str:
    assert isinstance(seconds, int | float)  # the run's own metrics
    return f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
