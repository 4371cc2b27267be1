"""A Gaussian process on descriptors, learned fingerprints and fragments together.

    k(x, y) = v_1 m(|d_x - d_y| / l_1) + v_2 m(|f_x - f_y| / l_2) + v_3 <d_x, d_y> + v_4 s(c_x, c_y)

with scaled descriptors d, scaled fingerprints f, counts c of circular fragments, Matern's kernel of
order 3/2, m(r) = (1 + sqrt(3) r) exp(-sqrt(3) r), and s(c, c') = sum min(c, c') / sum max(c, c').
The variances v, lengths l and the noise are those of the highest marginal likelihood (Rasmussen,
Williams, Gaussian Processes for Machine Learning, 2006, equation 2.30), held by a weak prior.
Memory grows as the square of the number of molecules, time as its cube.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from graphtide.errors import ComputationError
from graphtide.molecules.prediction.descriptors import DescriptorScale
from graphtide.molecules.prediction.inputs import Inputs

__all__ = ["GaussianProcess", "fragment_similarity"]

MOST_MOLECULES = 4000
"""Of larger sets this many, drawn at random, are learned from."""
_SEARCHED = 1000
"""Parameters are sought on as many molecules, drawn at random."""
_JITTER = 1e-5
_LEVELS = 8
_PRIOR = 0.02
_START = (-1.0, 1.0, -1.0, 1.0, -1.5, -1.5, -2.0)
"""Logarithms of v_1, l_1, v_2, l_2, v_3, v_4 and of the noise, where the search begins."""


def fragment_similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return sum min / sum max of counts, float64 (n, m); 0 where both are empty.

    Counts above 8 are told as 8.

    Args:
        first: whole numbers (n, W), not negative.
        second: (m, W).
    """
    # min(a, b) = sum over levels t of [a >= t] [b >= t]: a product of sparse matrices.
    one, other = _levels(first), _levels(second)
    common = (one @ other.T).toarray().astype(np.float64)
    total = np.asarray(one.sum(axis=1)) + np.asarray(other.sum(axis=1)).T
    return common / np.maximum(total - common, 1.0)


def _levels(counts: np.ndarray) -> sparse.csr_matrix:
    return sparse.hstack(
        [
            sparse.csr_matrix((counts >= level).astype(np.float32))
            for level in range(1, _LEVELS + 1)
        ],
        format="csr",
    )


@dataclass(slots=True, eq=False)
class GaussianProcess:
    """A fitted process for one target.

    Args:
        scale: of the descriptors.
        columns: the descriptors that ``scale`` keeps, int64 (D,).
        fingerprint_scale: float32 (2, P), mean and spread of the fingerprint's entries.
        descriptors: float32 (n, D), scaled, of the molecules learned from.
        fingerprints: float32 (n, P), scaled.
        counts: uint8 (n, W).
        values: float64 (n,), as measured.
        parameters: float64 (7,), logarithms.
    """

    scale: DescriptorScale
    columns: np.ndarray
    fingerprint_scale: np.ndarray
    descriptors: np.ndarray
    fingerprints: np.ndarray
    counts: np.ndarray
    values: np.ndarray
    parameters: np.ndarray
    _factor: Tensor | None = None
    _weights: Tensor | None = None

    @staticmethod
    def fit(
        inputs: Inputs,
        values: np.ndarray,
        *,
        seed: int = 0,
        iterations: int = 25,
        start: np.ndarray | None = None,
    ) -> GaussianProcess:
        """Fit to molecules and values, (n,), without missing ones.

        Args:
            inputs: the molecules.
            values: float64 (n,).
            seed: of the molecules drawn from a set that is too large.
            iterations: of the search for the parameters; 0 keeps the start.
            start: parameters to begin at, as those of a fit to most of the same molecules.
        """
        if len(values) > MOST_MOLECULES:
            rows = np.random.default_rng(seed).permutation(len(values))[:MOST_MOLECULES]
            inputs, values = inputs.take(np.sort(rows)), values[np.sort(rows)]
        scale, columns = DescriptorScale.fit(inputs.descriptors, inputs.names)
        centre = inputs.fingerprints.mean(axis=0)
        spread = inputs.fingerprints.std(axis=0)
        moments = np.stack([centre, np.where(spread > 1e-4, spread, np.inf)]).astype(np.float32)
        process = GaussianProcess(
            scale,
            columns,
            moments,
            scale.apply(inputs.descriptors[:, columns]),
            _scaled(inputs.fingerprints, moments),
            inputs.counts,
            values.astype(np.float64),
            np.array(_START) if start is None else start.copy(),
        )
        if iterations:
            rows = np.random.default_rng((seed, 1)).permutation(len(values))[:_SEARCHED]
            process._search(np.sort(rows), iterations)
        return process

    def predict(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations of what is measured, noise included; (M,) each."""
        if self._weights is None:
            self._solve()
        assert self._factor is not None
        assert self._weights is not None
        descriptors = self.scale.apply(inputs.descriptors[:, self.columns])
        fingerprints = _scaled(inputs.fingerprints, self.fingerprint_scale)
        parts = self._parts(descriptors, fingerprints, inputs.counts)
        parameters = torch.from_numpy(self.parameters)
        cross = _kernel(parts, parameters)
        linear = torch.from_numpy(descriptors).double().square().mean(dim=1)
        v = parameters.exp()
        own = v[0] + v[2] + v[4] * linear + v[5] + v[6]
        solved = torch.linalg.solve_triangular(self._factor, cross.T, upper=False)
        variance = (own - solved.square().sum(dim=0)).clamp(min=1e-8)
        centre, spread = self._moments()
        mean = (cross @ self._weights)[:, 0].numpy() * spread + centre
        return mean, variance.sqrt().numpy() * spread

    def _moments(self) -> tuple[float, float]:
        spread = float(self.values.std())
        return float(self.values.mean()), spread if spread > 0 else 1.0

    def _target(self) -> Tensor:
        centre, spread = self._moments()
        return torch.from_numpy((self.values - centre) / spread)[:, None]

    def _parts(
        self,
        descriptors: np.ndarray,
        fingerprints: np.ndarray,
        counts: np.ndarray,
        rows: np.ndarray | slice = slice(None),
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return distances, distances, inner products and similarities to those learned from."""
        d = torch.from_numpy(descriptors).double()
        own = torch.from_numpy(self.descriptors[rows]).double()
        f = torch.from_numpy(fingerprints).double()
        known = torch.from_numpy(self.fingerprints[rows]).double()
        width, length = max(1, d.shape[1]), f.shape[1]
        return (
            torch.cdist(d, own) / math.sqrt(width),
            torch.cdist(f, known) / math.sqrt(length),
            d @ own.T / width,
            torch.from_numpy(fragment_similarity(counts, self.counts[rows])),
        )

    def _search(self, rows: np.ndarray, iterations: int) -> None:
        parts = self._parts(
            self.descriptors[rows], self.fingerprints[rows], self.counts[rows], rows
        )
        target = self._target()[rows]
        identity = torch.eye(len(target), dtype=torch.float64)
        centre = torch.tensor(_START, dtype=torch.float64)
        parameters = torch.from_numpy(self.parameters.copy()).requires_grad_(True)
        optimiser = torch.optim.LBFGS(
            [parameters], max_iter=iterations, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            noise = parameters[6].exp() + _JITTER
            factor, info = torch.linalg.cholesky_ex(_kernel(parts, parameters) + noise * identity)
            if int(info):  # a step too far: the line search comes back
                return (parameters * 0.0).sum() + 1e6
            solved = torch.linalg.solve_triangular(factor, target, upper=False)
            value = 0.5 * solved.square().sum() + factor.diagonal().log().sum()
            value = value + _PRIOR * len(target) ** 0.5 * (parameters - centre).square().sum()
            value = value / len(target)
            value.backward()
            return value

        optimiser.step(closure)  # pyright: ignore[reportArgumentType]
        found = parameters.detach()
        if not bool(torch.isfinite(found).all()):
            raise ComputationError("the Gaussian process found no parameters")
        self.parameters = found.numpy()

    def _solve(self) -> None:
        parts = self._parts(self.descriptors, self.fingerprints, self.counts)
        parameters = torch.from_numpy(self.parameters)
        noise = float(parameters[6].exp()) + _JITTER
        matrix = _kernel(parts, parameters)
        matrix += noise * torch.eye(len(matrix), dtype=torch.float64)
        factor = torch.linalg.cholesky(matrix)
        self._factor, self._weights = factor, torch.cholesky_solve(self._target(), factor)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what is needed to make the process again."""
        return {
            "centre": self.scale.centre,
            "spread": self.scale.spread,
            "columns": self.columns,
            "fingerprint_scale": self.fingerprint_scale,
            "descriptors": self.descriptors,
            "fingerprints": self.fingerprints,
            "counts": self.counts,
            "values": self.values,
            "parameters": self.parameters,
        }

    @staticmethod
    def of(tensors: dict[str, np.ndarray], names: tuple[str, ...]) -> GaussianProcess:
        """Make a process from :meth:`tensors` and the names of all descriptors."""
        columns = tensors["columns"]
        scale = DescriptorScale(
            tuple(names[int(k)] for k in columns), tensors["centre"], tensors["spread"]
        )
        return GaussianProcess(
            scale,
            columns,
            tensors["fingerprint_scale"],
            tensors["descriptors"],
            tensors["fingerprints"],
            tensors["counts"],
            tensors["values"],
            tensors["parameters"],
        )


def _kernel(parts: tuple[Tensor, Tensor, Tensor, Tensor], parameters: Tensor) -> Tensor:
    v = parameters.exp()
    first = math.sqrt(3.0) / v[1] * parts[0]
    second = math.sqrt(3.0) / v[3] * parts[1]
    return (
        v[0] * (1.0 + first) * torch.exp(-first)
        + v[2] * (1.0 + second) * torch.exp(-second)
        + v[4] * parts[2]
        + v[5] * parts[3]
    )


def _scaled(fingerprints: np.ndarray, moments: np.ndarray) -> np.ndarray:
    return np.clip((fingerprints - moments[0]) / moments[1], -5.0, 5.0)
