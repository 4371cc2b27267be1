"""The table of laws, for every test of distributions."""

import importlib.util
import sys
from pathlib import Path

# Tests are imported without a package: the table is loaded under a name of its own.
_SPEC = importlib.util.spec_from_file_location(
    "distribution_laws", Path(__file__).with_name("laws.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules["distribution_laws"] = _MODULE
_SPEC.loader.exec_module(_MODULE)
