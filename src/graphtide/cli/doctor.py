"""What ``graphtide doctor`` looks at: the machine, the packages, a problem with known answer."""

from __future__ import annotations

import importlib.util
import math
import os
import platform
from importlib.metadata import PackageNotFoundError, version

__all__ = ["examine"]

_PACKAGES = ("torch", "numpy", "scipy", "numba", "networkx", "sympy", "pandas", "matplotlib")
_EXTRAS = {"xarray": "xarray", "pyg": "torch_geometric", "bench": "torchdiffeq"}


def examine() -> dict[str, object]:
    """Return what this machine offers, and the error of a solved problem with known answer.

    Heat on a path of three nodes is solved by Dormand-Prince 5(4) and compared with its exact
    solution; the error tells that torch, the sparse product and the solver work together here.

    Raises:
        ComputationError: the solution is off by more than the tolerance allows.
    """
    import graphtide

    report: dict[str, object] = {
        "graphtide": graphtide.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count() or 1,
    }
    for package in _PACKAGES:
        try:
            report[package] = version(package)
        except PackageNotFoundError:
            report[package] = "missing"
    for extra, module in _EXTRAS.items():
        installed = importlib.util.find_spec(module) is not None
        report[f"extra_{extra}"] = (
            "installed" if installed else f"not installed: pip install 'graphtide[{extra}]'"
        )
    report["devices"] = _devices()
    report["heat_on_a_path_error"] = _heat_error()
    report["healthy"] = True
    return report


def _devices() -> str:
    import torch

    names = [f"cpu ({torch.get_num_threads()} threads)"]
    names += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(names)


def _heat_error() -> float:
    import numpy as np

    from graphtide.dynamics.simulate import simulate
    from graphtide.equation import Equation
    from graphtide.errors import ComputationError
    from graphtide.graph import Graph

    equation = Equation.parse("dx/dt = sum_j A_ij*(x_j - x_i)")
    start = np.array([[1.0], [0.0], [0.0]])
    states = simulate(equation, Graph.from_source("path:3"), np.array([0.0, 1.0]), start).states
    # Eigenvalues 0, 1, 3 of the path's Laplacian, with the weights of the start in their modes.
    slow, fast = math.exp(-1.0), math.exp(-3.0)
    exact = [1 / 3 + slow / 2 + fast / 6, 1 / 3 - fast / 3, 1 / 3 - slow / 2 + fast / 6]
    error = float(np.abs(states[-1, :, 0] - exact).max())
    if not error < 1e-4:
        raise ComputationError(
            f"heat on a path of three nodes is off by {error:.2g}; the installation is not sound"
        )
    return error
