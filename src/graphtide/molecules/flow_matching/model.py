"""Discrete flow matching of molecules: the generator, its loss and what it keeps.

A molecule of n atoms is n types and n (n - 1) / 2 bonds. By default the chain moves the bonds
alone: the composition (how many atoms of each type) is drawn from those of the corpus, as sizes
are in graph diffusion, for compositions are few where molecules are many, and a start that has the
right atoms leaves the network the part that is hard. With ``atoms="flow"`` the types move too.

The network sees the noisy graph at time t and learns the posterior of the clean one,

    loss = E_t  [ - mean over pairs  log p(clean bond | noisy graph, t) ]   (+ atoms likewise),

t drawn anew for each molecule, crowded towards 1 by ``training_distortion``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import ClassVar, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from graphtide.errors import InputError
from graphtide.molecules.chemistry import AtomType, to_smiles
from graphtide.molecules.flow_matching.drawing import Wishes, starts
from graphtide.molecules.flow_matching.examples import FlowMatchingExamples
from graphtide.molecules.flow_matching.features import graph_features
from graphtide.molecules.flow_matching.legality import is_legal
from graphtide.molecules.flow_matching.network import DenoisingNetwork
from graphtide.molecules.flow_matching.pairs import Pairs
from graphtide.molecules.flow_matching.path import distorted, noised
from graphtide.molecules.flow_matching.sampler import Atoms, Graphs, Sampling, corrected, run_chain
from graphtide.molecules.generator import Generator, Progress, Sample
from graphtide.training.threads import side_by_side

__all__ = ["FlowMatching", "Precision", "Start"]

Start = Literal["marginal", "masked"]
"""Where a variable's path starts: drawn from how often each value occurs, or masked."""
Precision = Literal["float32", "bfloat16"]
"""Of the products in the network; weights, logits and probabilities stay float32."""

ORDERS = 4


class FlowMatching(Generator):
    """P(G) as the end of a Markov chain whose rates a network predicts.

    Args:
        vocabulary: types of atoms.
        rows: number of compositions it keeps.
        start: of the paths.
        atoms: whether types of atoms move.
        names: properties it can be told.
        width: of the nodes' states; see :class:`DenoisingNetwork` for this and the next three.
        pair_width: of the pairs' states.
        heads: of the attention.
        layers: of the network.
        training_distortion: exponent k of the times trained on, t = 1 - (1 - u)^k.
        forgetting: probability that a molecule's properties are withheld in training, so that the
            network learns P(G) and P(G | properties) both.
        precision: of the products.

    Raises:
        InputError: an argument is out of its range.
    """

    kind: ClassVar[str] = "flow_matching"
    atoms: Atoms
    compositions: Tensor
    frequencies: Tensor
    type_start: Tensor
    bond_start: Tensor
    valences: Tensor
    row_means: Tensor
    row_spreads: Tensor
    scaling: Tensor

    def __init__(
        self,
        vocabulary: tuple[AtomType, ...],
        *,
        rows: int,
        start: Start = "marginal",
        atoms: Atoms = "composition",
        names: Sequence[str] = (),
        width: int = 96,
        pair_width: int = 24,
        heads: int = 4,
        layers: int = 5,
        training_distortion: float = 2.0,
        forgetting: float = 0.1,
        precision: Precision = "float32",
    ) -> None:
        super().__init__(vocabulary)
        for value, choices in ((start, Start), (atoms, Atoms), (precision, Precision)):
            if value not in get_args(choices):
                raise InputError(f"'{value}' is none of {', '.join(get_args(choices))}")
        if min(rows, width, pair_width, heads, layers) < 1 or width % (2 * heads):
            raise InputError(
                "widths, heads and layers must be positive, and heads divide half of the width"
            )
        self.start, self.atoms, self.names, self.precision = start, atoms, tuple(names), precision
        self.shape = {
            "width": width, "pair_width": pair_width, "heads": heads, "layers": layers,
        }  # fmt: skip
        self.training_distortion, self.forgetting = training_distortion, forgetting
        count, masks = len(vocabulary), int(start == "masked")
        self.network = DenoisingNetwork(
            types=count + masks,
            bonds=ORDERS + masks,
            clean_types=count,
            clean_bonds=ORDERS,
            conditions=len(self.names),
            **self.shape,
        )
        valences = [float(kind.valence) for kind in vocabulary] + [0.0] * masks
        self.register_buffer("valences", torch.tensor(valences), persistent=False)
        self.register_buffer("compositions", torch.zeros(rows, count, dtype=torch.int16))
        self.register_buffer("frequencies", torch.ones(rows))
        self.register_buffer("type_start", torch.full((count + masks,), 1 / (count + masks)))
        self.register_buffer("bond_start", torch.full((ORDERS + masks,), 1 / (ORDERS + masks)))
        self.register_buffer("row_means", torch.zeros(rows, len(self.names)))
        self.register_buffer("row_spreads", torch.ones(rows, len(self.names)))
        self.register_buffer("scaling", torch.tensor([[0.0, 1.0]] * len(self.names)).view(-1, 2))

    @staticmethod
    def for_examples(
        examples: FlowMatchingExamples,
        *,
        start: Start = "marginal",
        atoms: Atoms = "composition",
        **settings: object,
    ) -> FlowMatching:
        """Make a network, not yet trained, with the compositions and marginals of a corpus.

        Args:
            examples: the corpus.
            start: of the paths.
            atoms: whether types of atoms move.
            settings: the other arguments of :class:`FlowMatching`.
        """
        unique, owner, counts = np.unique(
            examples.compositions(), axis=0, return_inverse=True, return_counts=True
        )
        model = FlowMatching(
            examples.corpus.vocabulary,
            rows=len(unique),
            start=start,
            atoms=atoms,
            names=examples.names,
            **settings,  # pyright: ignore[reportArgumentType]
        )
        model.compositions.copy_(torch.from_numpy(unique))
        model.frequencies.copy_(torch.from_numpy(counts / counts.sum()))
        model.type_start.copy_(_start(unique.T @ counts, start))
        model.bond_start.copy_(_start(examples.order_counts(), start))
        model.scaling.copy_(
            torch.from_numpy(np.stack([examples.means, examples.spreads], axis=1)).view(-1, 2)
        )
        scaled = (examples.values - examples.means) / examples.spreads
        means, spreads = _row_statistics(scaled, owner.reshape(-1), len(unique))
        model.row_means.copy_(torch.from_numpy(means))
        model.row_spreads.copy_(torch.from_numpy(spreads))
        return model

    def settings(self) -> dict[str, object]:
        """Return what JSON can hold and :meth:`from_settings` makes the same network from."""
        return {
            "rows": len(self.compositions),
            "start": self.start,
            "atoms": self.atoms,
            "names": list(self.names),
            "training_distortion": self.training_distortion,
            "forgetting": self.forgetting,
            "precision": self.precision,
            **self.shape,
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> Self:
        """Make the network anew, with weights not yet trained."""
        known = dict(settings)
        known.pop("model", None)
        types = known.pop("vocabulary")
        if not isinstance(types, list):
            raise InputError("the settings of the model list no vocabulary")
        vocabulary = tuple(AtomType.parse(str(text)) for text in types)
        try:
            return cls(vocabulary, **known)  # pyright: ignore[reportArgumentType]
        except TypeError as error:
            raise InputError(f"the settings of the model do not fit: {error}") from None

    def forward(self, types: Tensor, orders: Tensor, padding: Tensor, properties: Tensor) -> Tensor:
        """Return the loss of each molecule, (B,); arguments as the examples prepare them."""
        n, batch = types.shape
        pairs = Pairs.of(n, types.device)
        level = torch.rand(batch, device=types.device)
        at = distorted(level, self.training_distortion)
        bonds = noised(orders, at, self.bond_start)
        noisy = noised(types, at, self.type_start) if self.atoms == "flow" else types
        absent = padding if len(padding) else None
        condition = None
        if self.names:
            forgotten = torch.rand(batch, 1, device=types.device) < self.forgetting
            condition = self.condition(torch.where(forgotten, torch.nan, properties))
        to_types, to_bonds = self.logits(noisy, bonds, at, pairs, absent, condition)
        there = torch.ones(orders.shape, dtype=at.dtype, device=at.device)
        if absent is not None:
            there = (~(absent[pairs.first] | absent[pairs.second])).to(at.dtype)
        loss = cross_entropy(to_bonds.movedim(-1, 1), orders, reduction="none")
        total = (loss * there).sum(0) / there.sum(0).clamp(min=1)
        if self.atoms == "flow":
            real = torch.ones_like(level) if absent is None else (~absent).to(at.dtype)
            loss = cross_entropy(to_types.movedim(-1, 1), types, reduction="none") * real
            total = total + loss.sum(0) / real.expand(n, batch).sum(0)
        return total

    def logits(
        self,
        types: Tensor,
        bonds: Tensor,
        time: Tensor,
        pairs: Pairs,
        padding: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits of clean types (n, B, T) and bonds (P, B, 4), of noisy graphs.

        Args:
            types: int64 (n, B).
            bonds: int64 (P, B).
            time: (B,).
            pairs: of n nodes.
            padding: bool (n, B) or None.
            condition: what :meth:`condition` returns, or None.
        """
        n, batch = types.shape
        if padding is None:
            counts = torch.full((batch,), float(n), device=types.device)
        else:
            bonds = bonds.masked_fill(padding[pairs.first] | padding[pairs.second], 0)
            counts = n - padding.sum(0).to(time.dtype)
        features = graph_features(bonds, self.valences[types], counts, pairs)
        with self._precision():
            to_types, to_bonds = self.network(
                types, bonds, *features, time, pairs, padding, condition
            )
        return to_types.float(), to_bonds.float()

    @torch.no_grad()
    def sample(
        self,
        number: int,
        *,
        seed: int = 0,
        steps: int | None = None,
        scaffold: str | None = None,
        condition: Mapping[str, float] | None = None,
        progress: Progress | None = None,
        sampling: Sampling | None = None,
    ) -> Sample:
        """Make molecules; see :meth:`Generator.sample`.

        ``valid_before_correction`` tells of the chain without any mask; what is not valid there is
        drawn anew under the mask, unless ``sampling.correct`` is off.

        Args:
            number: how many.
            seed: one seed gives one sample (on one kind of device).
            steps: of the chain; None takes those of ``sampling``.
            scaffold: SMILES of a connected fragment. Each molecule holds its atoms and bonds, in
                one kekulised form, and no other bonds between them.
            condition: wished properties by name, in the units of training.
            progress: told the share done.
            sampling: how the chain is run; None takes the defaults of :class:`Sampling`.

        Raises:
            InputError: the scaffold or a property is none that the model can serve, or a number is
                out of its range.
        """
        began = time.perf_counter()
        if number < 1:
            raise InputError(f"the number of molecules must be at least 1; it is {number}")
        how = sampling or Sampling()
        if steps is not None:
            how = replace(how, steps=steps)
        wishes = Wishes.read(self, scaffold, condition)
        drawing = torch.Generator().manual_seed(seed)

        def make(task: tuple[int, tuple[np.ndarray, Graphs]]) -> tuple[np.ndarray, Sample]:
            batch, (places, begin) = task
            own = int(np.random.SeedSequence((seed, batch)).generate_state(1, np.uint64)[0] >> 1)
            return places, self._batch(begin, how, torch.Generator(self.device).manual_seed(own))

        smiles, valid, done = [""] * number, np.zeros(number, dtype=bool), 0
        tasks = enumerate(starts(self, number, wishes, how.batch, drawing))
        for places, made in side_by_side(make, tasks, self.device):
            valid[places] = made.valid_before_correction
            for place, text in zip(places.tolist(), made.smiles, strict=True):
                smiles[place] = text
            done += len(places)
            if progress is not None:
                progress(done / number, f"{done} of {number} molecules")
        return Sample(tuple(smiles), valid, time.perf_counter() - began)

    def _batch(self, begin: Graphs, how: Sampling, generator: torch.Generator) -> Sample:
        """Run the chain on graphs of one size, and correct what is not legal at its end."""
        began = time.perf_counter()
        graphs = run_chain(self, begin, how, generator)
        written = self.written(graphs)
        valid = np.array([bool(text) for text in written])
        if how.correct and not valid.all():
            better = self.written(corrected(self, graphs, how, generator))
            written = [text or other for text, other in zip(written, better, strict=True)]
        return Sample(tuple(written), valid, time.perf_counter() - began)

    def written(self, graphs: Graphs) -> list[str]:
        """Return the canonical SMILES of each graph, "" where it is illegal or RDKit refuses it."""
        pairs = Pairs.of(len(graphs.types), graphs.types.device)
        legal = is_legal(graphs.bonds, self.valences[graphs.types].long(), pairs).tolist()
        ends = torch.stack([pairs.first, pairs.second], dim=1).cpu().numpy()
        types, bonds = graphs.types.t().cpu().numpy(), graphs.bonds.t().cpu().numpy()
        written = []
        for kinds, orders, good in zip(types, bonds, legal, strict=True):
            there = np.flatnonzero(orders)
            rows = np.column_stack([ends[there], orders[there]])
            try:
                text = to_smiles([self.vocabulary[k] for k in kinds], rows) if good else ""
            except InputError:
                text = ""
            written.append(text)
        return written

    def condition(self, properties: Tensor) -> Tensor:
        """Return what the network is told of standardised properties (B, P), NaN where unknown."""
        known = ~properties.isnan()
        return torch.cat([properties.nan_to_num(0.0), known.to(properties.dtype)], dim=-1)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"
        )


def _start(counts: np.ndarray, start: Start) -> Tensor:
    if start == "masked":
        return torch.tensor([0.0] * len(counts) + [1.0])
    return torch.from_numpy(counts / max(1, counts.sum()))


def _row_statistics(
    values: np.ndarray, owner: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and spread of the values (K, P) of each row's molecules, shrunk towards (0, 1).

    One molecule's worth of the whole corpus is added to each, so that rows of few molecules, or of
    none whose value is known, are not taken at their word.
    """
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    counts, sums, squares = (np.zeros((rows, values.shape[1])) for _ in range(3))
    np.add.at(counts, owner, known)
    np.add.at(sums, owner, filled)
    np.add.at(squares, owner, filled**2)
    means = sums / (counts + 1)
    return means, np.sqrt(np.maximum((squares + 1) / (counts + 1) - means**2, 1e-4))
