"""The floors of the house, and what may load when: structure as tests."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# Each of these costs a tenth of a second or much more; help must not pay for any.
HEAVY = {
    *("torch", "numba", "scipy", "pandas", "sympy", "matplotlib", "networkx", "sklearn"),
    *("rdkit", "jinja2", "xarray", "safetensors", "numpy", "pooch", "requests", "fcd"),
}


def loaded_by(*arguments: str) -> set[str]:
    """Return the names of the top-level packages that a fresh interpreter imports."""
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    lines = [line for line in finished.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "import graphtide"),
        ("-m", "graphtide", "--help"),
        ("-m", "graphtide", "dynamics", "fit", "--help"),
        ("-m", "graphtide", "mechanisms", "equation", "--help"),
        ("-m", "graphtide", "dynamics", "forecast", "--help"),
        ("-m", "graphtide", "mechanisms", "distribution", "--help"),
        ("-m", "graphtide", "lesson", "depth", "--help"),
        ("-m", "graphtide", "data", "get", "--help"),
        ("-m", "graphtide", "molecules", "--help"),
        ("-m", "graphtide", "molecules", "score", "--help"),
    ],
    ids=[
        "import",
        "help",
        "help of fit",
        "help of equation",
        "help of forecast",
        "help of distribution",
        "help of a lesson",
        "help of data",
        "help of molecules",
        "help of scores",
    ],
)
def test_nothing_heavy_loads_before_a_command_runs(arguments):
    loaded = loaded_by(*arguments)
    assert "graphtide" in loaded
    assert loaded & HEAVY == set()


def test_the_list_of_heavy_packages_is_noticed_when_loaded():
    assert "numpy" in loaded_by("-c", "import graphtide; graphtide.Graph")


def test_modules_import_only_from_the_floors_below():
    finished = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert finished.returncode == 0, finished.stdout


def test_no_code_is_evaluated_from_text_and_nothing_is_unpickled():
    forbidden = ("sympify(", "parse_expr(", "pickle.load", "allow_pickle=True", "_only=False")
    for path in (REPOSITORY / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found = [word for word in forbidden if word in text]
        assert found == [], path
