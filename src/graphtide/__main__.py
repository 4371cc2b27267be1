"""Run the command line as ``python -m graphtide``."""

from graphtide.cli.main import run

run()
