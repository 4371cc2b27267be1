"""The page on flows: its example gives what it says."""

import doctest
from pathlib import Path


def test_example_of_the_page():
    page = Path(__file__).parents[2] / "docs" / "flows.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0
