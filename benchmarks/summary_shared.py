"""What the modules of README's measured section share: reading what the benchmarks wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent / "results"


def results(name: str) -> dict[str, Any]:
    """Return what a benchmark wrote; nothing where it has not run."""
    path = _RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
