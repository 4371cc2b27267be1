"""The table of all flows: what is listed here is put through all laws by the tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from graphtide.errors import InputError
from graphtide.flows.bijection import Bijection, Composition, Inverse
from graphtide.flows.continuous import ContinuousFlow
from graphtide.flows.coupling import AdditiveCoupling, AffineCoupling, alternating_mask
from graphtide.flows.fields import MultilayerField
from graphtide.flows.hamiltonian import HamiltonianFlow, Potential, SymplecticName
from graphtide.flows.histogram import HistogramCoupling
from graphtide.flows.mixing import ActNorm, Mixing, Permutation
from graphtide.flows.residual import ResidualFlow
from graphtide.flows.spline import SplineCoupling

__all__ = ["FLOWS", "FlowEntry", "make_bijection"]


@dataclass(frozen=True, slots=True)
class FlowEntry:
    """One kind of flow.

    Args:
        make: maps D, C and the hidden widths to a bijection with parameters at their start.
        conditional: whether C may be positive.
        volume_preserving: whether its log-determinant is always 0.
        even: whether D must be even.
    """

    make: Callable[[int, int, Sequence[int]], Bijection]
    conditional: bool = True
    volume_preserving: bool = False
    even: bool = False


def make_bijection(
    name: str, dimension: int, condition_dimension: int = 0, hidden: Sequence[int] = (64, 64)
) -> Bijection:
    """Return a bijection by its name in `FLOWS`.

    Args:
        name: of the kind.
        dimension: D.
        condition_dimension: C; 0 for none.
        hidden: widths of the hidden layers of its networks.

    Raises:
        InputError: the name is unknown, or the kind cannot have these dimensions.

    Example:
        >>> make_bijection("affine_coupling", 3).dimension
        3
    """
    entry = FLOWS.get(name)
    if entry is None:
        raise InputError(f"flow {name!r} is unknown; known are {', '.join(FLOWS)}")
    if condition_dimension and not entry.conditional:
        raise InputError(f"flow {name!r} takes no condition")
    return entry.make(dimension, condition_dimension, hidden)


def _pair(
    kind: type[AdditiveCoupling | AffineCoupling | HistogramCoupling | SplineCoupling],
) -> Callable[[int, int, Sequence[int]], Bijection]:
    """Two couplings, so that every coordinate moves once."""

    def make(dimension: int, condition_dimension: int, hidden: Sequence[int]) -> Bijection:
        parts = [
            kind(
                alternating_mask(dimension, odd=odd),
                condition_dimension=condition_dimension,
                hidden=hidden,
            )
            for odd in (False, True)
        ]
        return Composition(parts)

    return make


def _mixing(dimension: int, condition_dimension: int, hidden: Sequence[int]) -> Bijection:
    del condition_dimension, hidden
    return Mixing(dimension, torch.Generator().manual_seed(0))


def _residual(dimension: int, condition_dimension: int, hidden: Sequence[int]) -> Bijection:
    return ResidualFlow(dimension, condition_dimension=condition_dimension, hidden=hidden)


def _continuous(dimension: int, condition_dimension: int, hidden: Sequence[int]) -> Bijection:
    field = MultilayerField(dimension, condition_dimension, hidden=hidden)
    return ContinuousFlow(field, dimension, condition_dimension=condition_dimension)


def _hamiltonian(method: SymplecticName) -> Callable[[int, int, Sequence[int]], Bijection]:
    def make(dimension: int, condition_dimension: int, hidden: Sequence[int]) -> Bijection:
        kinetic, potential = (
            Potential(dimension // 2, condition_dimension, hidden=hidden[0], frequencies=1)
            for _ in range(2)
        )
        return HamiltonianFlow(
            dimension, kinetic, potential, condition_dimension=condition_dimension, method=method
        )

    return make


def _glow(dimension: int, condition_dimension: int, hidden: Sequence[int]) -> Bijection:
    """Actnorm, mixing and an affine coupling, twice (Glow's step of flow)."""
    parts: list[Bijection] = []
    for index in range(2):
        parts += [
            ActNorm(dimension),
            Mixing(dimension, torch.Generator().manual_seed(index)),
            AffineCoupling(
                alternating_mask(dimension), condition_dimension=condition_dimension, hidden=hidden
            ),
        ]
    return Composition(parts)


FLOWS: dict[str, FlowEntry] = {
    "additive_coupling": FlowEntry(_pair(AdditiveCoupling), volume_preserving=True),
    "affine_coupling": FlowEntry(_pair(AffineCoupling)),
    "spline_coupling": FlowEntry(_pair(SplineCoupling)),
    "histogram_coupling": FlowEntry(_pair(HistogramCoupling)),
    "mixing": FlowEntry(_mixing, conditional=False),
    "actnorm": FlowEntry(lambda dimension, _c, _h: ActNorm(dimension), conditional=False),
    "permutation": FlowEntry(
        lambda dimension, _c, _h: Permutation([*range(1, dimension), 0]),
        conditional=False,
        volume_preserving=True,
    ),
    "glow": FlowEntry(_glow),
    "residual": FlowEntry(_residual),
    "inverse_residual": FlowEntry(lambda *sizes: Inverse(_residual(*sizes))),
    "continuous": FlowEntry(_continuous),
    "hamiltonian": FlowEntry(_hamiltonian("leapfrog"), volume_preserving=True, even=True),
    "hamiltonian_yoshida4": FlowEntry(_hamiltonian("yoshida4"), volume_preserving=True, even=True),
}
