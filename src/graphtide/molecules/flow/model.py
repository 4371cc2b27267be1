"""An exact-likelihood flow on molecules: an invertible map from a graph to a normal vector.

A molecule is its size n, then node by node a type and a row of bonds to earlier nodes
(`graphtide.molecules.flow.rows`): D = 1 + M (1 + S) discrete variables k_1, k_2, ... for up to M
nodes with up to S earlier bonds. Each is spread over a cell of its own, x_d = k_d + e_d with e_d in
[0, 1), and the flow moves coordinate after coordinate, the last one first,

    u_d = sum_(l < k_d) p(l | k_1..k_(d-1)) + e_d p(k_d | k_1..k_(d-1)),     z_d = Phi^-1(u_d)

a composition of histogram couplings (`graphtide.flows.histogram`): what is kept decides how one
coordinate moves. The Jacobian is triangular, log |det du/dx| = sum_d log p(k_d | k_1..k_(d-1)) is
the log-likelihood of the graph itself, without a bound, and the inverse is exact. Coordinates a
molecule does not need have one cell of probability 1 and are noise, so that all molecules share one
space R^D with a standard normal prior, where one can walk from one to another.

Sources: dequantised flows on graphs: Zang, Wang, MoFlow, KDD 2020 (there P(B) P(A|B) with bonds B
first; here nodes and bonds by turns); autoregressive flows: Papamakarios, Pavlakou, Murray, NeurIPS
2017; piecewise-linear maps: Müller et al., ACM Transactions on Graphics 38 (2019).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.molecules.chemistry import (
    AtomType,
    TypedGraph,
    parse_smiles,
    to_smiles,
    typed_graph,
)
from graphtide.molecules.flow.bijection import MoleculeBijection
from graphtide.molecules.flow.correction import corrected
from graphtide.molecules.flow.growth import Grown
from graphtide.molecules.flow.network import Conditioner
from graphtide.molecules.flow.rows import (
    Rows,
    pack_choices,
    pack_graphs,
    unpack_bonds,
)
from graphtide.molecules.generator import Generator, Progress, Sample

__all__ = ["Flow"]

_CHUNK = 2000


class Flow(Generator):
    """An exact-likelihood flow on molecules.

    Args:
        vocabulary: types of atoms, V of them.
        size_counts: how many molecules have 1, 2, ... M nodes: the distribution of sizes.
        slots: S, most bonds of a node to earlier nodes.
        width: of the conditioner's tokens.
        layers: of the conditioner.
        heads: of its attention; divides the width.
        constrained: give probability only to choices that lead to valid, connected molecules. Where
            it is off, every graph has some, and what comes out is corrected (`correct`). It may be
            switched at any time: it is another flow with the same weights.
        correct: correct drawn graphs that are not valid and connected.

    Raises:
        InputError: a number is out of its range.
    """

    kind: ClassVar[str] = "flow"

    def __init__(
        self,
        vocabulary: tuple[AtomType, ...],
        *,
        size_counts: Sequence[int],
        slots: int,
        width: int = 96,
        layers: int = 3,
        heads: int = 4,
        constrained: bool = False,
        correct: bool = True,
    ) -> None:
        super().__init__(vocabulary)
        if not vocabulary or not size_counts or slots < 1 or sum(size_counts) < 1:
            raise InputError("a flow needs types of atoms, sizes of molecules and a slot for bonds")
        if min(width, layers, heads) < 1 or width % heads:
            raise InputError(f"the width must be a multiple of heads; they are {width} and {heads}")
        self.size_counts, self.slots = tuple(int(count) for count in size_counts), slots
        self.width, self.layers, self.heads = width, layers, heads
        self.constrained, self.correct = constrained, correct
        self.network = Conditioner(
            len(vocabulary), self.most_atoms, width=width, layers=layers, heads=heads
        )
        valences = torch.tensor([kind.valence for kind in vocabulary])
        self.register_buffer("valences", valences, persistent=False)

    valences: Tensor

    @property
    def most_atoms(self) -> int:
        """M, nodes of the largest molecule."""
        return len(self.size_counts)

    @property
    def dimension(self) -> int:
        """D, length of a latent vector."""
        return self._bijection().dimension

    def settings(self) -> dict[str, object]:
        """Return what :meth:`from_settings` takes, beside the vocabulary."""
        return {
            "size_counts": list(self.size_counts),
            "slots": self.slots,
            "width": self.width,
            "layers": self.layers,
            "heads": self.heads,
            "constrained": self.constrained,
            "correct": self.correct,
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> Self:
        """Make the flow anew, with weights not yet trained.

        Raises:
            InputError: a setting is missing or of the wrong kind.
        """
        given = dict(settings)
        given.pop("model", None)
        try:
            names = given.pop("vocabulary")
            if not isinstance(names, list):
                raise InputError("the vocabulary of the flow must be a list of types of atoms")
            return cls(tuple(AtomType.parse(str(name)) for name in names), **given)  # pyright: ignore[reportArgumentType]
        except (KeyError, TypeError) as error:
            raise InputError(f"the settings of the flow are not whole: {error}") from None

    def forward(self, sizes: Tensor, types: Tensor, partners: Tensor, orders: Tensor) -> Tensor:
        """Return the negative log-likelihood of molecules, nats, (B,); inf where impossible.

        Args:
            sizes: (B,), as all of them in :class:`graphtide.molecules.flow.rows.Rows`.
            types: (B, N).
            partners: (B, N, S).
            orders: (B, N, S).
        """
        rows = Rows(sizes, types, partners, orders)
        return -self._bijection().log_likelihood(rows)

    @torch.no_grad()
    def log_likelihood(self, graphs: Sequence[TypedGraph]) -> Tensor:
        """Return log P(graph with this order of nodes) of molecules, nats, (B,).

        It is also the log-density of the spread variables x anywhere in their cells. Graphs in
        canonical order (:func:`graphtide.molecules.chemistry.typed_graph`) have the likelihood of
        the molecule, however it was numbered; another order of nodes is another graph.

        Raises:
            InputError: a molecule is larger than M, or has types or bonds the model does not know.
        """
        rows = self._packed(graphs)
        parts = [
            -self(*(t[at : at + _CHUNK] for t in _tensors(rows)))
            for at in range(0, len(rows), _CHUNK)
        ]
        return torch.cat(parts)

    def to_latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map spread variables x (B, D) to z (B, D), with log |det dz/dx| (B,).

        Args:
            x: k + e for each choice k: size less 1, then for each node its type and its slots (0
                for none, else 3 j + order for a bond to node j); plain e in [0, 1) where a choice
                is certain. :meth:`spread` makes them of molecules.

        Raises:
            InputError: x lies outside of what the flow can make.
        """
        return self._bijection().forward(x)

    def from_latent(self, z: Tensor) -> Tensor:
        """Map latent vectors z (B, D) to spread variables x (B, D), without gradient.

        Raises:
            InputError: the shape does not fit.
        """
        return self._bijection().inverse(z)[0]

    def spread(self, graphs: Sequence[TypedGraph], generator: torch.Generator | None) -> Tensor:
        """Return spread variables x (B, D) of molecules.

        Args:
            graphs: typed graphs.
            generator: of e, uniform; None takes the middle of each cell.

        Raises:
            InputError: as :meth:`log_likelihood`.
        """
        cells = pack_choices(self._packed(graphs), self.most_atoms)
        like = self.network.norm.weight.detach()
        if generator is None:
            return cells + like.new_full(cells.shape, 0.5)
        return cells + torch.rand(
            cells.shape, generator=generator, dtype=like.dtype, device=like.device
        )

    @torch.no_grad()
    def encode(
        self, graphs: Sequence[TypedGraph], generator: torch.Generator | None = None
    ) -> Tensor:
        """Return latent vectors z of molecules, (B, D), float64; :meth:`decode` undoes it exactly.

        Args:
            graphs: typed graphs.
            generator: of the place in each cell; None takes its middle, where coordinates that a
                molecule does not need are 0.

        Raises:
            InputError: as :meth:`log_likelihood`; or the flow is constrained and a graph is not
                valid and connected.
        """
        exact = self._exact()
        x = exact.spread(graphs, generator)
        parts = [exact.to_latent(part)[0] for part in x.split(_CHUNK)]
        return torch.cat(parts)

    @torch.no_grad()
    def decode(self, z: Tensor) -> list[TypedGraph]:
        """Return the graphs at latent vectors (B, D), as they are: nothing is corrected.

        Raises:
            InputError: the shape does not fit.
        """
        exact = self._exact()._bijection()
        parts = [exact.inverse(part.double())[1].rows for part in z.split(_CHUNK)]
        return [graph for rows in parts for graph in self.graphs(rows)]

    def interpolate(self, first: str, last: str, number: int) -> tuple[str, ...]:
        """Return canonical SMILES along the straight line between two molecules, ends included.

        Graphs that are not valid and connected are corrected where `correct` says so, else "".

        Args:
            first: SMILES at the beginning.
            last: SMILES at the end.
            number: of points, at least 2.

        Raises:
            InputError: the model cannot make an end, or the number is too small.
        """
        if number < 2:
            raise InputError(f"a path needs at least 2 molecules; {number} were asked for")
        ends = self.encode([typed_graph(parse_smiles(text)) for text in (first, last)])
        weights = torch.linspace(0.0, 1.0, number, dtype=ends.dtype, device=ends.device)
        return self.decode_smiles(torch.lerp(ends[:1], ends[1:], weights[:, None]))

    @torch.no_grad()
    def decode_smiles(self, z: Tensor) -> tuple[str, ...]:
        """Return canonical SMILES of the molecules at latent vectors (B, D).

        Graphs that are not valid and connected are corrected where `correct` says so, else "".

        Raises:
            InputError: the shape does not fit.
        """
        exact = self._exact()
        parts = [exact._bijection().inverse(part.double())[1] for part in z.split(_CHUNK)]
        return tuple(smiles for grown in parts for smiles, _ in self._written(grown))

    def sample(
        self,
        number: int,
        *,
        seed: int = 0,
        steps: int | None = None,
        scaffold: str | None = None,
        condition: Mapping[str, float] | None = None,
        progress: Progress | None = None,
        temperature: float = 1.0,
    ) -> Sample:
        """Make molecules.

        Args:
            number: how many.
            seed: one seed gives one sample.
            steps: must be None: the flow has no steps to choose.
            scaffold: must be None: choices depend on earlier ones, so a part cannot be held fixed.
            condition: must be None: the flow was trained without properties.
            progress: told the share done.
            temperature: standard deviation of the latent vectors; 1 is the distribution itself.

        Raises:
            InputError: the flow cannot do what is asked for.
        """
        asked = {"steps": steps, "a scaffold": scaffold, "a condition": condition}
        refused = [name for name, value in asked.items() if value]
        if refused:
            raise InputError(f"the flow samples without {' or '.join(refused)}")
        began = time.perf_counter()
        pieces: list[tuple[str, bool]] = []
        for grown in self.draw(number, seed=seed, temperature=temperature):
            pieces += self._written(grown)
            if progress is not None:
                progress(len(pieces) / number, f"{len(pieces):,} molecules")
        return Sample(
            tuple(smiles for smiles, _ in pieces),
            np.array([valid for _, valid in pieces], dtype=bool),
            time.perf_counter() - began,
        )

    def draw(self, number: int, *, seed: int = 0, temperature: float = 1.0) -> Iterator[Grown]:
        """Return an iterator over chunks of drawn molecules, as tensors.

        Args:
            number: how many in all.
            seed: as in :meth:`sample`, which writes the same molecules as SMILES.
            temperature: as in :meth:`sample`.

        Raises:
            InputError: a number is out of its range.
        """
        if number < 1 or not temperature >= 0:
            raise InputError(
                f"number must be at least 1 and temperature not negative; they are {number} and "
                f"{temperature:g}"
            )
        generator = torch.Generator().manual_seed(seed)

        def chunk(count: int) -> Grown:
            shape = (count, self.dimension)
            z = temperature * torch.randn(shape, generator=generator, dtype=torch.float64)
            return self._bijection().inverse(z.to(self.device))[1]

        return (chunk(min(_CHUNK, number - at)) for at in range(0, number, _CHUNK))

    def _written(self, grown: Grown) -> list[tuple[str, bool]]:
        """Return the SMILES of drawn molecules, and whether they were valid as drawn."""
        written: list[tuple[str, bool]] = []
        likelihoods = grown.log_probabilities.cpu().numpy()
        orders = grown.rows.orders.cpu().numpy()
        for row, graph in enumerate(self.graphs(grown.rows)):
            sound = corrected(graph, likelihoods[row][orders[row] > 0])
            valid = sound is graph
            if not valid and not self.correct:
                written.append(("", False))
                continue
            try:
                written.append((to_smiles(sound.types, sound.bonds), valid))
            except InputError:  # what RDKit refuses is not valid
                written.append(("", False))
        return written

    def graphs(self, rows: Rows) -> list[TypedGraph]:
        """Return rows as typed graphs."""
        sizes, types, partners, orders = (t.cpu().numpy() for t in _tensors(rows))
        return [
            TypedGraph(
                tuple(self.vocabulary[kind] for kind in types[row, :size]),
                unpack_bonds(partners[row], orders[row]).astype(np.int16),
            )
            for row, size in enumerate(sizes.tolist())
        ]

    def _packed(self, graphs: Sequence[TypedGraph]) -> Rows:
        largest = max((len(graph.types) for graph in graphs), default=0)
        if largest > self.most_atoms or not graphs:
            raise InputError(
                f"molecules of 1 to {self.most_atoms} atoms are wanted; the largest has {largest}"
            )
        rows = pack_graphs(graphs, self.vocabulary, slots=self.slots)
        return Rows(*(tensor.to(self.device) for tensor in _tensors(rows)))

    def _bijection(self) -> MoleculeBijection:
        return MoleculeBijection(
            self.network, self.valences, self.size_counts, self.slots, self.constrained
        )

    def _exact(self) -> Self:
        """Return this flow in float64, whose cells are found again whatever was rounded."""
        return copy.deepcopy(self).double().eval()


def _tensors(rows: Rows) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return rows.sizes, rows.types, rows.partners, rows.orders
