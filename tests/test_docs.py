"""What the documentation shows is run: its Python prints what its comments say.

What the examples of the workflows print is judged in test_readme.py; flows.md holds doctests
(tests/flows/test_docs.py).
"""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def examples() -> list[tuple[str, str]]:
    found = []
    elsewhere = {DOCS / name for name in ("dynamics.md", "mechanisms.md", "flows.md")}
    for path in sorted(set(DOCS.glob("*.md")) - elsewhere):
        blocks = re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), flags=re.DOTALL)
        found.extend((f"{path.name}, example {k + 1}", block) for k, block in enumerate(blocks))
    return found


@pytest.mark.parametrize(("name", "code"), examples())
def test_example_prints_what_it_says(name, code, capsys):
    exec(compile(code, name, "exec"), {})
    said = re.findall(r"^print\(.*\)\s*# -> (.*)$", code, flags=re.MULTILINE)
    assert capsys.readouterr().out.split("\n")[:-1] == [line.split(":")[0] for line in said]
