"""What the tests of commands share: the real command line in a fresh folder."""

import pytest

from graphtide.cli.main import run


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Return a function that runs a command line in a fresh folder and gives code, out, err."""
    monkeypatch.chdir(tmp_path)

    def run_line(*arguments):
        with pytest.raises(SystemExit) as ended:
            run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run_line
