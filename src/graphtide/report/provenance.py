"""How a run was made, for the foot of its page."""

from __future__ import annotations

from graphtide.run import Run

__all__ = ["provenance"]


def provenance(run: Run) -> dict[str, str]:
    """Return kind, configuration and versions of a run as text."""
    config = run.read_json("config.json")
    assert isinstance(config, dict)  # Run.open has checked it
    packages = config.get("packages", {})
    return {
        "run": run.kind,
        **{name.replace("_", " "): _words(value) for name, value in run.configuration.items()},
        "graphtide": str(config.get("graphtide")),
        "Python": str(config.get("python")),
        "packages": _words(packages),
        "created": str(config.get("created")),
    }


def _words(value: object) -> str:
    """Return a value of a configuration as a reader would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = [f"{name} {_words(one)}" for name, one in value.items()]
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value)) or "none"
    return "none" if value is None or value == "" else str(value)
