"""The section on intervals of a neural fit's page."""

import pytest

from graphtide.report.neural_fit import intervals_section
from graphtide.run import Run


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, None), (1, "1 node was never seen"), (12, "12 nodes were never seen")],
)
def test_nodes_that_no_error_judges_are_named(tmp_path, count, words):
    run = Run.create(tmp_path / "run", kind="dynamics fit", configuration={})
    run.write_metrics({"level": 0.9, "ensemble": 8, "unseen_nodes": count})
    notes = " ".join(intervals_section(run).notes)
    assert ("never seen" in notes) == (words is not None)
    assert words is None or words in notes
