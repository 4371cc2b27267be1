"""What the README shows is run: its Python, and that each command it names exists."""

import re
from pathlib import Path

from typer.main import get_group

from graphtide.cli.main import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_example_finds_heat_again(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    law = capsys.readouterr().out
    found = re.fullmatch(r"dx/dt = ([\d.]+)\*sum_j A_ij\*\(x_j - x_i\)\s*", law)
    assert found, law
    assert abs(float(found[1]) - 0.5) < 0.05


def test_every_command_named_exists():
    group = get_group(app)
    named = re.findall(r"graphtide ((?:dynamics|mechanisms) \w+|doctor|report|demo)", README)
    assert len(set(named)) >= 6
    for words in named:
        command = group
        for word in words.split():
            assert word in command.commands, words
            command = command.commands[word]
