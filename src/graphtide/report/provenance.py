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
        **{name.replace("_", " "): str(value) for name, value in run.configuration.items()},
        "graphtide": str(config.get("graphtide")),
        "Python": str(config.get("python")),
        "packages": ", ".join(f"{name} {version}" for name, version in packages.items()),
        "created": str(config.get("created")),
    }
