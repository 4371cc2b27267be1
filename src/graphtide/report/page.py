"""A run becomes one HTML file: everything inline, nothing fetched, the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from graphtide.errors import InputError
from graphtide.files import write_text
from graphtide.report.content import Page
from graphtide.report.demo import demo_page
from graphtide.report.dynamics_analyse import analyse_page
from graphtide.report.dynamics_classify import classify_page
from graphtide.report.dynamics_control import control_page
from graphtide.report.dynamics_fit import fit_page
from graphtide.report.dynamics_forecast import forecast_page
from graphtide.report.lesson_depth import lesson_depth_page
from graphtide.report.lesson_flow import lesson_flow_page
from graphtide.report.lesson_numerics import lesson_numerics_page
from graphtide.report.lesson_recurrent import lesson_recurrent_page
from graphtide.report.mechanisms_distribution import distribution_page
from graphtide.report.mechanisms_equation import equation_page
from graphtide.report.mechanisms_growth import growth_page
from graphtide.report.mechanisms_spread import spread_page
from graphtide.report.molecules_fit import molecules_fit_page
from graphtide.report.molecules_learn import molecules_learn_page
from graphtide.report.molecules_optimize import molecules_optimize_page
from graphtide.report.molecules_score import molecules_score_page
from graphtide.run import Run

__all__ = ["render", "write_report"]

_BUILDERS: dict[str, Callable[[Run], Page]] = {
    "demo": demo_page,
    "dynamics analyse": analyse_page,
    "dynamics fit": fit_page,
    "dynamics classify": classify_page,
    "dynamics forecast": forecast_page,
    "dynamics control": control_page,
    "mechanisms equation": equation_page,
    "mechanisms distribution": distribution_page,
    "mechanisms growth": growth_page,
    "mechanisms spread": spread_page,
    "molecules fit": molecules_fit_page,
    "molecules optimize": molecules_optimize_page,
    "molecules learn": molecules_learn_page,
    "molecules score": molecules_score_page,
    "lesson depth": lesson_depth_page,
    "lesson recurrent": lesson_recurrent_page,
    "lesson flow": lesson_flow_page,
    "lesson numerics": lesson_numerics_page,
}


def write_report(run: Run) -> Path:
    """Write ``report.html`` into a run's folder and return its path.

    Raises:
        InputError: the run is of a kind without a page, or one of its files is missing or damaged.
    """
    builder = _BUILDERS.get(run.kind)
    if builder is None:
        raise InputError(
            f"{run.path} is a run of '{run.kind}', which has no page; pages exist for "
            f"{', '.join(_BUILDERS)}"
        )
    path = run.path / "report.html"
    write_text(path, render(builder(run)))
    return path


def render(page: Page) -> str:
    """Return the HTML of a page; all text is escaped, pictures are inline."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        page=page,
        style=(folder / "style.css").read_text(encoding="utf-8"),
        script=(folder / "network.js").read_text(encoding="utf-8"),
    )
