"""Real data that ship inside the package, each set with a card, and sets to fetch.

Embedded: :func:`us_income`, :func:`zinc250k_sample`, :func:`qm9_sample`, :func:`esol`. Fetched into
a cache: :mod:`graphtide.data.fetch`.
"""

from graphtide.data.esol import esol
from graphtide.data.qm9 import qm9_sample
from graphtide.data.us_income import us_income
from graphtide.data.zinc250k import zinc250k_sample

__all__ = ["esol", "qm9_sample", "us_income", "zinc250k_sample"]
