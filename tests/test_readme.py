"""What the README shows is run: its Python, and that each command it names exists."""

import re
from pathlib import Path

import pytest
import torch
from typer.main import get_group

from graphtide.cli.main import app
from graphtide.dynamics.catalogue import resolve
from graphtide.equation import Equation
from graphtide.graph import Graph

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))}


def run_example(text, capsys):
    """Run the one Python example of a page and return what it printed."""
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(example, "example", "exec"), {})
    return capsys.readouterr().out


def test_the_python_example_finds_heat_again(capsys):
    law = run_example(README, capsys)
    found = re.fullmatch(r"dx/dt = ([\d.]+)\*sum_j A_ij\*\(x_j - x_i\)\s*", law)
    assert found, law
    assert abs(float(found[1]) - 0.5) < 0.05


def test_the_example_of_dynamics_learns_a_field(capsys):
    family, error = run_example(PAGES["dynamics.md"], capsys).rsplit(maxsplit=1)
    assert family
    assert float(error) < 1e-3


def test_the_example_of_mechanisms_finds_the_law(capsys):
    law = Equation.parse(run_example(PAGES["mechanisms.md"], capsys).strip())
    graph = Graph.from_source("karate")
    states = torch.linspace(0.1, 0.8, 34, dtype=torch.float64)[:, None]
    time = torch.tensor(0.0, dtype=torch.float64)
    found, true = (e.compile().on(graph)(time, states) for e in (law, resolve("sis")))
    assert float((found - true).abs().max()) < 0.03 * float(true.abs().max())


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_every_command_named_exists(page):
    group = get_group(app)
    text = README if page == "README.md" else PAGES[page]
    named = re.findall(
        r"graphtide ((?:dynamics|mechanisms|molecules|data|lesson) \w+|doctor|report|demo)", text
    )
    assert named or page != "README.md"
    for words in named:
        command = group
        for word in words.split():
            assert word in command.commands, words
            command = command.commands[word]
