"""The Markov chain run forwards: from the start to molecules, in steps of any number.

Graphs of one size run together, without padding. At each of the times 0 = t_0 < ... < t_S = 1 the
network gives the posterior of the clean graph, and every bond that is not fixed moves on its own
(:func:`graphtide.molecules.flow_matching.path.transition`). Times are crowded towards 1, where
bonds decide each other.

Correction is separate. A graph whose valences are exceeded or that falls apart goes back to the
time 1/2, runs on from there, and its last step draws the bonds one by one under the mask of
:mod:`graphtide.molecules.flow_matching.legality`: that graph is legal.

Sources: Ho, Salimans, Classifier-free diffusion guidance, 2022; Nisonoff, Xiong, Allenspach,
Listgarten, Unlocking guidance for discrete state-space diffusion and flow models, ICLR 2025
(guidance of rates); Lugmayr et al., RePaint, CVPR 2022 (a known part put back at every step).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.molecules.flow_matching.legality import is_legal, legal_bonds, legal_types
from graphtide.molecules.flow_matching.pairs import Pairs
from graphtide.molecules.flow_matching.path import conditional_path, distorted, draw, transition

__all__ = ["Atoms", "Denoiser", "Graphs", "Sampling", "corrected", "run_chain"]

Atoms = Literal["composition", "flow"]
"""Whether compositions are drawn from the corpus, or types of atoms move along the chain too."""
Watch = Callable[[float, Tensor, Tensor], None]
"""Told the time, the types (n, B) and the bonds (P, B) before each step and at the end."""


class Denoiser(Protocol):
    """What the chain asks of a model.

    Attributes:
        atoms: "flow" where types of atoms move, else "composition".
        type_start: distribution that types start from, (T,).
        bond_start: distribution that bonds start from, (K,).
        valences: of each type, (T,).
    """

    atoms: Atoms
    type_start: Tensor
    bond_start: Tensor
    valences: Tensor

    def logits(
        self,
        types: Tensor,
        bonds: Tensor,
        time: Tensor,
        pairs: Pairs,
        padding: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits of clean types (n, B, T) and bonds (P, B, 4), of noisy graphs."""
        ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the chain is run; the defaults did best on QM9 among those tried at their cost.

    Large molecules come whole more often with more steps, a distortion of 8 and a temperature of
    1.15: on ZINC250k most of what is not valid lies in pieces.

    Args:
        steps: number of steps, one call of the network each; 10 to 500 are sensible.
        stochasticity: eta, how much the chain takes back beyond what the path asks for; 0 is the
            chain of fewest jumps.
        mode: whether the last step takes the most probable state of each bond in place of drawing
            it: fewer slips, slightly less variety.
        distortion: exponent k of the times t = 1 - (1 - u)^k of even u; above 1 they are crowded
            towards 1, where the pieces of a large molecule find each other.
        guidance: w, the posterior is p(. | condition)^w p(.)^(1 - w); 1 is the condition alone,
            more follows it harder and varies less.
        temperature: the logarithms of the posterior are divided by it; below 1 the likely becomes
            likelier. Above 1 fewer molecules fall to pieces: a bond that could lie between many
            pairs is likely between none of them.
        correct: whether graphs that are not legal are corrected.
        batch: graphs that run together.
    """

    steps: int = 40
    stochasticity: float = 4.0
    mode: bool = True
    distortion: float = 4.0
    guidance: float = 1.5
    temperature: float = 1.0
    correct: bool = True
    batch: int = 256

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            InputError: a number is out of its range.
        """
        if self.steps < 1 or self.batch < 1:
            raise InputError(
                f"steps and batch must be at least 1; they are {self.steps}, {self.batch}"
            )
        if not self.stochasticity >= 0 or not self.distortion > 0 or not self.guidance >= 0:
            raise InputError(
                "stochasticity and guidance must not be negative, and distortion must be positive; "
                f"they are {self.stochasticity:g}, {self.guidance:g} and {self.distortion:g}"
            )
        if not self.temperature > 0:
            raise InputError(f"the temperature must be positive; it is {self.temperature:g}")


@dataclass(frozen=True, slots=True, eq=False)
class Graphs:
    """Graphs of one size, and what of them is not to change.

    Args:
        types: int64 (n, B).
        bonds: int64 (P, B).
        fixed_nodes: bool (n, B); their types stay.
        fixed_pairs: bool (P, B); their bonds stay.
        condition: what the network is told, (B, 2 properties), or None.
    """

    types: Tensor
    bonds: Tensor
    fixed_nodes: Tensor
    fixed_pairs: Tensor
    condition: Tensor | None = None

    def part(self, graphs: Tensor) -> Graphs:
        """Return some of the graphs, by index."""
        return Graphs(
            self.types[:, graphs],
            self.bonds[:, graphs],
            self.fixed_nodes[:, graphs],
            self.fixed_pairs[:, graphs],
            None if self.condition is None else self.condition[graphs],
        )


@torch.no_grad()
def run_chain(
    model: Denoiser,
    graphs: Graphs,
    sampling: Sampling,
    generator: torch.Generator,
    *,
    since: float = 0.0,
    legal: bool = False,
    watch: Watch | None = None,
) -> Graphs:
    """Return the graphs at time 1.

    Args:
        model: predicts the posterior.
        graphs: clean graphs, of which all that is not fixed is noised to the time ``since``. At 0
            nothing is left of it.
        sampling: how.
        generator: of all randomness.
        since: time to begin at.
        legal: whether the last step draws legal graphs.
        watch: told of the way.
    """
    pairs = Pairs.of(len(graphs.types), graphs.types.device)
    moves = model.atoms == "flow"
    types, bonds = graphs.types, _renoised(graphs.bonds, since, model.bond_start, generator)
    bonds = torch.where(graphs.fixed_pairs, graphs.bonds, bonds)
    if moves:
        types = _renoised(types, since, model.type_start, generator)
        types = torch.where(graphs.fixed_nodes, graphs.types, types)
    levels = torch.linspace(0, 1, sampling.steps + 1, dtype=torch.float64)
    times = (since + (1 - since) * distorted(levels, sampling.distortion)).tolist()
    for time, later in itertools.pairwise(times):
        if watch is not None:
            watch(time, types, bonds)
        of_types, of_bonds = _posterior(model, types, bonds, time, pairs, graphs, sampling)
        last = later >= 1.0
        if moves:
            chances = _transition(model.type_start, of_types, types, time, later, sampling)
            types = torch.where(graphs.fixed_nodes, graphs.types, draw(chances, generator))
            if last and legal:
                held = pairs.matrices(torch.where(graphs.fixed_pairs, graphs.bonds, 0))
                types = legal_types(
                    of_types.clamp(min=1e-30).log(),
                    types,
                    model.valences[: of_types.shape[-1]],
                    fixed=graphs.fixed_nodes,
                    spent=held.sum(-1).t(),
                )
        if last and legal:
            valences = model.valences[types].long()
            bonds = legal_bonds(
                of_bonds.clamp(min=1e-30).log(),
                valences,
                pairs,
                generator,
                fixed=graphs.fixed_pairs,
                given=graphs.bonds,
            )
        else:
            chances = _transition(model.bond_start, of_bonds, bonds, time, later, sampling)
            bonds = torch.where(graphs.fixed_pairs, graphs.bonds, draw(chances, generator))
    if watch is not None:
        watch(1.0, types, bonds)
    return replace(graphs, types=types, bonds=bonds)


def corrected(
    model: Denoiser, graphs: Graphs, sampling: Sampling, generator: torch.Generator
) -> Graphs:
    """Return graphs of which those that are not legal are drawn anew, under the mask."""
    pairs = Pairs.of(len(graphs.types), graphs.types.device)
    wrong = ~is_legal(graphs.bonds, model.valences[graphs.types].long(), pairs)
    places = wrong.nonzero()[:, 0]
    if not len(places):
        return graphs
    again = run_chain(model, graphs.part(places), sampling, generator, since=0.5, legal=True)
    types, bonds = graphs.types.clone(), graphs.bonds.clone()
    types[:, places], bonds[:, places] = again.types, again.bonds
    return replace(graphs, types=types, bonds=bonds)


def _posterior(
    model: Denoiser,
    types: Tensor,
    bonds: Tensor,
    time: float,
    pairs: Pairs,
    graphs: Graphs,
    sampling: Sampling,
) -> tuple[Tensor, Tensor]:
    at = torch.full((types.shape[1],), time, device=types.device)
    condition, guidance = graphs.condition, sampling.guidance
    of_types, of_bonds = model.logits(types, bonds, at, pairs, None, condition)
    if condition is not None and guidance != 1.0:
        free = model.logits(types, bonds, at, pairs, None, torch.zeros_like(condition))
        of_types, of_bonds = (
            guidance * one.log_softmax(-1) + (1 - guidance) * other.log_softmax(-1)
            for one, other in zip((of_types, of_bonds), free, strict=True)
        )
    of_types, of_bonds = (one / sampling.temperature for one in (of_types, of_bonds))
    return of_types.softmax(-1), of_bonds.softmax(-1)


def _transition(
    start: Tensor, posterior: Tensor, state: Tensor, time: float, later: float, sampling: Sampling
) -> Tensor:
    if later >= 1.0 and sampling.mode:
        return torch.nn.functional.one_hot(posterior.argmax(-1), posterior.shape[-1]).to(start)
    masks = len(start) - posterior.shape[-1]
    if masks:
        posterior = torch.nn.functional.pad(posterior, (0, masks))
    return transition(posterior, state, time, later, start, stochasticity=sampling.stochasticity)


def _renoised(clean: Tensor, time: float, start: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from the path's distribution at a time, from the sampler's own generator."""
    return draw(conditional_path(clean, time, start), generator)
