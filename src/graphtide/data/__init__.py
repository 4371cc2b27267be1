"""Real data that ship inside the package; each set has a card with its source and licence."""

from graphtide.data.us_income import us_income

__all__ = ["us_income"]
