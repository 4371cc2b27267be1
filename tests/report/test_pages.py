"""Pages: self-contained, small, the same bytes each time, readable without seeing the pictures."""

import html.parser
import json
import re

import numpy as np
import pytest

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.library import library
from graphtide.report import write_report
from graphtide.report.figures import canvas, formula, svg_of
from graphtide.report.mechanisms_equation import law_picture
from graphtide.report.network import moving_network, positions
from graphtide.report.provenance import provenance
from graphtide.run import Run
from graphtide.trajectory import Trajectory


class Elements(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("kind", ["dynamics fit", "mechanisms equation"])
def test_page_is_self_contained_small_and_described(runs, kind):
    path = write_report(runs[kind])
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < 2_000_000
    elements = Elements()
    elements.feed(text)
    for tag, attributes in elements.found:
        for name in ("src", "href", "xlink:href"):
            target = attributes.get(name) or ""
            assert not target.startswith(("http", "//")), (tag, target[:80])
        if attributes.get("role") == "img":
            assert attributes["aria-label"]
    tags = [tag for tag, _ in elements.found]
    assert tags.count("h1") == 1
    assert tags.count("figcaption") == tags.count("figure") > 1
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\(http", text)


@pytest.mark.parametrize("kind", ["dynamics fit", "mechanisms equation"])
def test_same_run_gives_the_same_bytes(runs, kind):
    first = write_report(runs[kind]).read_bytes()
    assert write_report(runs[kind]).read_bytes() == first


def test_names_cannot_break_out_of_the_page(tmp_path):
    graph = Graph(np.array([[0, 1], [1, 0]]), names=("</script><b>", "a"))
    states = Trajectory(np.arange(3.0), np.arange(6.0).reshape(3, 2), graph=graph)
    drawn = moving_network(states, caption="", finding="")
    assert "<" not in drawn.payload
    assert json.loads(drawn.payload)["names"] == ["</script><b>", "a"]


def test_the_page_of_a_fit_names_the_better_forecast(runs):
    """Heat has not settled yet, so the field forecasts better than the last value."""
    text = write_report(runs["dynamics fit"]).read_text(encoding="utf-8")
    assert "the field is the better forecast" in text
    for method in ("last value", "linear interpolation", "linear trend"):
        assert re.search(rf">{method}</t[hd]>", text), method


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_law_of_the_catalogue_can_be_typeset(name):
    law = CATALOGUE[name].equation
    picture = law_picture(law)
    assert picture.startswith("<svg")
    assert formula(law.latex_lines()).startswith("<svg")


@pytest.mark.parametrize("variables", [("x",), ("S", "I")])
def test_every_candidate_term_can_be_typeset(variables):
    for candidate in library(variables, "mean"):
        laws = {name: [(-2.5e-7, candidate.text, None)] for name in variables}
        assert law_picture(Equation.from_terms(variables, laws)).startswith("<svg")


def test_names_in_any_script_reach_the_picture():
    figure, (axis,) = canvas()
    axis.set_title("Łódź 北京 Ψ")
    axis.set_ylabel("上海")
    drawn = svg_of(figure)
    assert "Łódź 北京 Ψ" in drawn
    assert "上海" in drawn


@pytest.mark.parametrize("name", ["measured log solubility in mols per litre " * 2, "logS_" * 16])
def test_labels_that_quote_a_long_name_stay_within_the_picture(name):
    figure, (axis,) = canvas(width=8.0, height=3.0)
    axis.plot([0, 1], [0, 1])
    axis.set_xlabel(f"measured {name}, measured {name}")
    axis.set_ylabel(f"error of {name}")
    svg_of(figure)
    figure.draw_without_rendering()
    for part in (axis.xaxis, axis.yaxis):
        box = part.label.get_window_extent()
        assert min(box.x0, box.y0) >= 0
        assert (box.max <= figure.bbox.max).all()
    assert axis.get_position().height > 0.4


def test_colours_follow_the_states():
    graph = Graph.from_source("path:3")
    values = np.array([[0.0, 1.0, 2.0], [2.0, 1.0, np.nan]])
    payload = json.loads(
        moving_network(
            Trajectory(np.arange(2.0), values, graph=graph), caption="", finding=""
        ).payload
    )
    import base64

    bytes_ = list(base64.b64decode(payload["states"]))
    assert bytes_[0] < bytes_[1] < bytes_[2] <= 254
    assert bytes_[5] == 255
    assert payload["edges"] == [0, 1, 1, 2]


def test_layout_is_the_same_for_the_same_graph():
    graph = Graph.from_source("karate")
    np.testing.assert_array_equal(positions(graph), positions(Graph.from_source("karate")))
    assert positions(graph).min() >= 0
    assert positions(graph).max() <= 1


def test_the_foot_of_a_page_reads_as_words(tmp_path):
    asked = {
        "target": ["logS", "pKa"], "minimum": {"qed": 0.3}, "keep": None, "pains": False,
        "starts": [], "seed": 0, "nested": [[1, True]],
    }  # fmt: skip
    run = Run.create(tmp_path / "run", kind="molecules optimize", configuration=asked)
    told = provenance(run)
    assert {name: told[name] for name in asked} == {
        "target": "logS, pKa", "minimum": "qed 0.3", "keep": "none", "pains": "no",
        "starts": "none", "seed": "0", "nested": "1, yes",
    }  # fmt: skip


def test_kind_without_a_page_is_refused(tmp_path):
    run = Run.create(tmp_path / "run", kind="dynamics simulate", configuration={})
    with pytest.raises(InputError, match="has no page"):
        write_report(run)
