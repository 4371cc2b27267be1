"""Generation by construction: a recurrent network builds the molecule, one legal action at a time.

    P(G in this order) = prod_t P(a_t | a_1 ... a_(t-1)),    P(a) = 0 for what is not legal

so that every sample is valid and connected with no correction, and every order of traversal has
an exact probability. The network sees the action before, the type of the current atom and the
state of the building (valences left along the path back), and remembers the rest.

A corpus's own order is RDKit's canonical one. Random orders may be trained beside it; a flag tells
the network which kind it is in, and samples are drawn in the canonical one.

Sources: Li et al., Learning deep generative models of graphs, 2018 (graphs by actions); Segler et
al., ACS Central Science 4 (2018) 120 (recurrent networks on canonical SMILES, whose order this is);
Cho et al., EMNLP 2014 (gated recurrent unit); De Brouwer et al., NeurIPS 2019 (its differential
cousin).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from graphtide.errors import InputError
from graphtide.molecules.building import FEATURES, Building, advance, views, walk
from graphtide.molecules.chemistry import AtomType, to_smiles
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.generator import Generator, Sample
from graphtide.molecules.learning import Plan, held_out_split, plan_steps, train_generator
from graphtide.molecules.recurrence import CellName, make_recurrence
from graphtide.molecules.traversal import Actions, Sequences, traverse
from graphtide.training.loop import Training

__all__ = ["Construction", "ConstructionExamples", "fit_construction"]


class ConstructionExamples:
    """Molecules as sequences of actions, with their states worked out batch by batch.

    Args:
        corpus: connected molecules.
        random_orders: share of the molecules shown in a random order instead of the canonical one.
        passes: different random orders that are prepared of each molecule.
        seed: of the random orders.
    """

    def __init__(
        self, corpus: Corpus, *, random_orders: float = 0.0, passes: int = 2, seed: int = 0
    ) -> None:
        self.random_orders = random_orders
        draws = [np.random.default_rng((seed, turn)) for turn in range(passes)]
        found = [traverse(corpus)]
        if random_orders > 0.0:
            found += [traverse(corpus, order=draw) for draw in draws]
        self.actions = Actions.of(corpus, *found)
        self._orders = [self.actions.places(one) for one in found]
        self._rules = self.actions.rules()

    @property
    def canonical(self) -> Sequences:
        """The sequences in canonical order."""
        return self._orders[0]

    @property
    def sizes(self) -> np.ndarray:
        """Number of actions of each molecule, (K,)."""
        return self.canonical.lengths

    def batch(self, indices: np.ndarray, generator: np.random.Generator) -> tuple[Tensor, ...]:
        """Return actions, legal actions, features, types and order flags of some molecules."""
        other = int(generator.random() < self.random_orders)
        chosen = self._orders[int(generator.integers(1, len(self._orders))) if other else 0]
        rows = chosen.padded(indices)
        state = Building.empty(len(rows), self.actions.most_atoms)
        masks, features, types = walk(self._rules, state, rows)
        return (
            torch.from_numpy(rows),
            torch.from_numpy(masks),
            torch.from_numpy(features),
            torch.from_numpy(types),
            torch.full((len(rows),), other),
        )


@dataclass(frozen=True, slots=True)
class _Shape:
    width: int
    layers: int
    embedding: int
    dropout: float
    cell: CellName


class Construction(Generator):
    """The recurrent network over actions.

    Args:
        actions: what it can do.
        width: of the recurrent layers.
        layers: number of them.
        embedding: width of what it is told at each step.
        dropout: share of the units between layers left out in training.
        cell: of the recurrent layers: "gru", or "differential", whose state flows by a differential
            equation between actions and which takes several times as long.
    """

    kind = "construction"

    def __init__(
        self,
        actions: Actions,
        *,
        width: int = 384,
        layers: int = 2,
        embedding: int = 128,
        dropout: float = 0.0,
        cell: CellName = "gru",
    ) -> None:
        super().__init__(actions.vocabulary)
        self.actions = actions
        self.shape = _Shape(width, layers, embedding, dropout, cell)
        self._rules = actions.rules()
        count = len(actions)
        # One row more for the start, where nothing was done yet.
        self.embed_action = nn.Embedding(count + 1, embedding)
        self.embed_type = nn.Embedding(len(actions.vocabulary) + 1, embedding)
        self.embed_order = nn.Embedding(2, embedding)
        self.describe = nn.Linear(FEATURES, embedding)
        self.recurrent = make_recurrence(cell, embedding, width, layers, dropout)
        self.decide = nn.Sequential(
            nn.Linear(width + embedding, width // 2), nn.SiLU(), nn.Linear(width // 2, count)
        )

    def settings(self) -> dict[str, object]:
        """Return the actions and the shape."""
        shape = self.shape
        return {
            "codes": self.actions.codes.tolist(),
            "most_atoms": self.actions.most_atoms,
            "width": shape.width,
            "layers": shape.layers,
            "embedding": shape.embedding,
            "dropout": shape.dropout,
            "cell": shape.cell,
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> Self:
        """Make the network from what :meth:`settings` gave, with its vocabulary."""
        try:
            vocabulary = tuple(map(AtomType.parse, cast("list[str]", settings["vocabulary"])))
            codes = np.array(settings["codes"], dtype=np.int64)
            actions = Actions(codes, vocabulary, cast("int", settings["most_atoms"]))
            return cls(
                actions,
                width=cast("int", settings["width"]),
                layers=cast("int", settings["layers"]),
                embedding=cast("int", settings["embedding"]),
                dropout=cast("float", settings["dropout"]),
                cell=cast("CellName", settings["cell"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"these settings describe no construction model: {error}") from None

    def forward(
        self, actions: Tensor, legal: Tensor, features: Tensor, types: Tensor, order: Tensor
    ) -> Tensor:
        """Return minus the logarithm of each sequence's probability.

        Args:
            actions: int64 (B, T), -1 after the end.
            legal: bool (B, T, V).
            features: (B, T, F).
            types: int64 (B, T), of the current atom.
            order: int64 (B,), 0 canonical, 1 random.
        """
        start = torch.full_like(actions[:, :1], len(self.actions))
        before = torch.cat([start, actions[:, :-1]], dim=1).clamp_min(0)
        told = self._told(before, features, types, order[:, None])
        remembered, _ = self.recurrent(told)
        logits = self._decide(remembered, told, legal)
        kept = actions >= 0
        losses = functional.cross_entropy(
            logits.flatten(0, 1), actions.clamp_min(0).flatten(), reduction="none"
        )
        return (losses.view_as(actions) * kept).sum(dim=1)

    def _told(self, before: Tensor, features: Tensor, types: Tensor, order: Tensor) -> Tensor:
        told = self.embed_action(before) + self.embed_type(types) + self.embed_order(order)
        return told + self.describe(features)

    def _decide(self, remembered: Tensor, told: Tensor, legal: Tensor) -> Tensor:
        logits = self.decide(torch.cat([remembered, told], dim=-1))
        return logits.masked_fill(~legal, -math.inf)

    @torch.no_grad()
    def sample(
        self,
        number: int,
        *,
        seed: int = 0,
        steps: int | None = None,
        scaffold: str | None = None,
        condition: Mapping[str, float] | None = None,
        progress: Callable[[float, str], None] | None = None,
        temperature: float = 1.0,
        batch: int = 1000,
    ) -> Sample:
        """Make molecules, each valid and connected as drawn.

        Args:
            number: how many.
            seed: one seed gives one sample.
            steps: has no meaning here.
            scaffold: has no meaning here.
            condition: has no meaning here.
            progress: told the share done.
            temperature: the probabilities' logarithms are divided by it; below 1 the likely
                becomes likelier.
            batch: molecules built side by side.

        Raises:
            InputError: steps, a scaffold or a condition is given, or a number is out of range.
        """
        if steps is not None or scaffold is not None or condition:
            raise InputError(
                "a construction model takes no steps, scaffold or condition; "
                "a flow_matching model does"
            )
        if number < 1 or not temperature > 0:
            raise InputError("number and temperature must be positive")
        began = time.perf_counter()
        generator = torch.Generator(self.device).manual_seed(seed)
        smiles: list[str] = []
        while len(smiles) < number:
            size = min(batch, number - len(smiles))
            smiles += self._built(size, generator, temperature)
            if progress is not None:
                progress(len(smiles) / number, f"{len(smiles):,} molecules")
        return Sample(tuple(smiles), np.ones(number, dtype=bool), time.perf_counter() - began)

    def _built(self, count: int, generator: torch.Generator, temperature: float) -> list[str]:
        state = Building.empty(count, self.actions.most_atoms)
        device = self.device
        before = torch.full((count, 1), len(self.actions), device=device)
        order = torch.zeros((count, 1), dtype=torch.int64, device=device)
        memory: Tensor | None = None
        while not state.done.all():
            legal, features, types = (
                torch.from_numpy(array).to(device)[:, None] for array in views(self._rules, state)
            )
            told = self._told(before, features, types, order)
            remembered, memory = self.recurrent(told, memory)
            logits = self._decide(remembered, told, legal)[:, 0] / temperature
            # The largest of logits with Gumbel noise is a draw from the softmax.
            noise = torch.rand(logits.shape, generator=generator, device=device)
            before = (logits - torch.log(-torch.log(noise))).argmax(dim=1, keepdim=True)
            advance(self._rules, state, before[:, 0].cpu().numpy())
        made = [state.molecule(row) for row in range(count)]
        return [to_smiles([self.vocabulary[k] for k in types], bonds) for types, bonds in made]

    @torch.no_grad()
    def log_likelihood(self, corpus: Corpus, *, batch: int = 256) -> np.ndarray:
        """Return the natural logarithm of each molecule's probability in its order, (K,).

        Raises:
            InputError: a molecule needs an action that the model does not know.
        """
        corpus = corpus.with_vocabulary(self.vocabulary)
        found = self.actions.places(traverse(corpus))
        parts = []
        for at in range(0, len(corpus), batch):
            rows = found.padded(np.arange(at, min(at + batch, len(corpus))))
            state = Building.empty(len(rows), self.actions.most_atoms)
            masks, features, types = (
                torch.from_numpy(a).to(self.device) for a in walk(self._rules, state, rows)
            )
            actions = torch.from_numpy(rows).to(self.device)
            order = torch.zeros(len(rows), dtype=torch.int64, device=self.device)
            parts.append(-self(actions, masks, features, types, order).cpu().numpy())
        return np.concatenate(parts)


def fit_construction(
    corpus: Corpus,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    width: int = 384,
    layers: int = 2,
    batch: int = 256,
    learning_rate: float = 2e-3,
    random_orders: float = 0.0,
    cell: CellName = "gru",
    seed: int = 0,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> tuple[Construction, Training]:
    """Learn P(G) from molecules.

    Args:
        corpus: connected molecules; some are held out to choose the weights.
        minutes: time for training, which becomes a number of steps on this machine.
        steps: number of steps; give this or the minutes.
        width: of the recurrent layers.
        layers: number of them.
        batch: molecules a step.
        learning_rate: largest one.
        random_orders: share of the batches in random orders.
        cell: of the recurrent layers, "gru" or "differential".
        seed: of the weights and of all draws.
        device: to train on.
        checkpoint: file from which an interrupted training goes on.
        progress: told the share done.

    Raises:
        InputError: neither minutes nor steps are given, or a number is out of range.
    """
    if (minutes is None) == (steps is None):
        raise InputError("give the minutes or the steps of training, one of them")
    examples = ConstructionExamples(corpus, random_orders=random_orders, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Construction(examples.actions, width=width, layers=layers, cell=cell).to(device)
    training, held_out = held_out_split(len(corpus), seed=seed)
    batch = min(batch, len(training))
    if steps is None:
        assert minutes is not None  # one of them is given
        steps = plan_steps(
            model, examples, minutes=minutes, batch=batch, rate=learning_rate, kept=checkpoint
        )
    plan = Plan(steps, batch, learning_rate, seed=seed)
    result = train_generator(
        model,
        examples,
        training=training,
        held_out=held_out,
        plan=plan,
        checkpoint=checkpoint,
        identity={
            "model": "construction",
            "cell": cell,
            "width": width,
            "layers": layers,
            "seed": seed,
        },
        progress=progress,
    )
    return model, result
