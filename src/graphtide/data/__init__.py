"""Real data that ship inside the package, each set with a card, and sets to fetch.

Embedded: :func:`us_income`, :func:`zinc250k_sample`, :func:`qm9_sample`. Fetched into a cache:
:mod:`graphtide.data.fetch`. Names are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphtide.data.qm9 import qm9_sample
    from graphtide.data.us_income import us_income
    from graphtide.data.zinc250k import zinc250k_sample

__all__ = ["qm9_sample", "us_income", "zinc250k_sample"]

_HOMES = {
    "qm9_sample": "graphtide.data.qm9",
    "us_income": "graphtide.data.us_income",
    "zinc250k_sample": "graphtide.data.zinc250k",
}


def __getattr__(name: str) -> object:
    """Fetch a public name from the module that defines it."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'graphtide.data' has no attribute '{name}'")
