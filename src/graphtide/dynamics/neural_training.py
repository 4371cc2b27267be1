"""Training of a neural field, from a linear start to whole roll-outs.

1. start: hidden units spread over the data, output weights by least squares on the weak form, along
   interpolants and then along the field's own paths (or along those of a closed-form teacher, where
   that does not err more);
2. weak: the hidden weights by L-BFGS on the weak form, the output weights solved anew at every
   evaluation (variable projection: at the least squares' optimum the gradient of the hidden weights
   needs no derivative of the solution; Golub, Pereyra, SIAM J. Numer. Anal. 10, 1973);
3. segments: the output weights by L-BFGS through the solver, over segments that grow to the whole
   roll-out, along directions that the data resolve equally well.

After each stage the weights with the best roll-out at the times kept for validation stay. Stages 2
and 3 go through the training loop, so they are checkpointed and resumed bit for bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas
import torch
from torch import Tensor

from graphtide.dynamics.neural import BoundField, MessagePassingField, output_of, set_output
from graphtide.dynamics.neural_task import (
    LOST,
    Task,
    Trained,
    TrainingSettings,
    apart_from_unseen,
    roll_out_numeric,
)
from graphtide.dynamics.problem import Problem
from graphtide.dynamics.segments import Learner, Piece, Segments
from graphtide.dynamics.weak_training import (
    WeakForm,
    best_output,
    interpolants,
    normal_equations,
    own_paths,
)
from graphtide.errors import ComputationError
from graphtide.training.loop import Checkpoint, train
from graphtide.weakform.intervals import Paths

__all__ = ["train_field"]

CLEAN_PENALTIES = (1e-13, 1e-11, 1e-9, 1e-7)
NOISY_PENALTIES = (1e-10, 1e-8, 1e-6, 1e-4)
ROUNDS = 4
WEAK_POINTS = 60_000
"""Node states at quadrature points for each evaluation of the weak form's loss."""


@dataclass(slots=True)
class _Trainer:
    field: MessagePassingField
    bounds: list[BoundField]
    task: Task
    settings: TrainingSettings
    seed: int
    checkpoints: Path | None
    told: Callable[[float, str], None]
    learner: Learner = None  # pyright: ignore[reportAssignmentType]
    starts: list[np.ndarray] = dataclasses.field(default_factory=list)
    rows: list[dict[str, object]] = dataclasses.field(default_factory=list)
    penalty: float = 0.0

    def score(self) -> float:
        """Return the validation error of roll-outs from the starts as they stand."""
        wrong = size = 0.0
        for k, bound in enumerate(self.bounds):
            states = roll_out_numeric(bound, self.task.judged[k], self.start(k), tolerance=1e-4)
            if states is None:
                return LOST
            truth = self.task.validation[k]
            known = ~np.isnan(truth)
            relative = (np.abs(states - truth) / self.task.problem.size)[known]
            wrong += float(relative.sum())
            size += float((np.abs(truth) / self.task.problem.size)[known].sum())
        return wrong / max(size, 1e-300)

    def start(self, k: int) -> np.ndarray:
        """Return where the roll-out of a sample begins, shape (N, D)."""
        start = np.array(self.task.problem.samples[k].start)
        unseen = self.task.unseen[k]
        if len(unseen):
            start[unseen] = self.learner.start(k).detach().cpu().numpy()
        return start

    def linear_start(self, teacher: Problem | None) -> tuple[WeakForm, list[list[Paths]], Problem]:
        """Find the output weights by least squares, in rounds; return the best one's weak form.

        The field's own paths are those of a field that does not change with time, so one that does
        stays with the interpolants.
        """
        task, like = self.task, self.field.own.detach()
        weak = task.weak if teacher is None else teacher
        noisy = task.problem.noisy and teacher is None
        penalties = NOISY_PENALTIES if noisy else CLEAN_PENALTIES
        paths = interpolants(weak)
        first = apart_from_unseen(weak, task.unseen) if teacher is None else weak
        best, kept, found = np.inf, output_of(self.field).detach().clone(), None
        changing = self.field.surroundings.uses_time or bool(self.field.surroundings.inputs)
        rounds = ROUNDS if teacher is None and not changing else 1
        for number in range(rounds):
            self.told(0.3 * number / rounds, f"least squares, round {number + 1}")
            rows = first if number == 0 else weak
            tried = WeakForm.of(rows, paths, number=number, like=like)
            normal = normal_equations(self.field, tried, self.bounds)
            choices = [normal.solved(penalty) for penalty in penalties]
            error = best_output(self.field, choices, self.score)
            self.note("least squares", number, self.loss_of(tried), error)
            if error < best:
                place = [bool(torch.equal(c, output_of(self.field))) for c in choices].index(True)
                better = error < 0.7 * best
                best, kept, found = error, choices[place], (tried, paths, weak)
                self.penalty = penalties[place]
                if not better and number > 1:
                    break
            elif number > 0:
                break
            if number + 1 < rounds:
                if any(len(u) for u in task.unseen):
                    weak = self.fill_unseen(weak)
                paths = own_paths(weak, self.bounds, like)
        set_output(self.field, kept)
        assert found is not None  # the first round's error is below infinity
        return found

    def better_without_teacher(self) -> tuple[WeakForm, list[list[Paths]], Problem] | None:
        """Start anew from the readings alone; go back to the first start unless that errs twice."""
        error, kept, penalty = self.score(), output_of(self.field).detach().clone(), self.penalty
        found = self.linear_start(None)
        if self.score() < 0.5 * error:
            return found
        set_output(self.field, kept)
        self.penalty = penalty
        return None

    def form_of_readings(self) -> WeakForm:
        """Return the weak form of the readings themselves along the trained field's paths."""
        weak, like = self.task.weak, self.field.own.detach()
        if self.field.surroundings.uses_time:
            return WeakForm.of(weak, interpolants(weak), number=0, like=like)
        return WeakForm.of(weak, own_paths(weak, self.bounds, like), number=1, like=like)

    def fill_unseen(self, weak: Problem) -> Problem:
        """Estimate the starts of unseen nodes, and take their later states from roll-outs."""
        segments = self.segments()
        pieces = segments.first_pieces(max(2, segments.longest // 6))
        shares = list(self.learner.share.parameters())
        before = [share.detach().clone() for share in shares]
        optimiser = torch.optim.LBFGS(
            shares,
            max_iter=25,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            total = segments.loss(pieces)
            total.backward()
            return total

        self.field.requires_grad_(False)
        optimiser.step(closure)
        with torch.no_grad():
            for share, kept in zip(shares, before, strict=True):
                share.copy_(torch.where(torch.isfinite(share), share, kept))
        self.field.requires_grad_(True)
        samples = []
        for k, sample in enumerate(weak.samples):
            states = np.array(sample.states)
            rolled = roll_out_numeric(self.bounds[k], sample.times, self.start(k), tolerance=1e-4)
            if rolled is not None:
                unseen = self.task.unseen[k]
                problem = self.task.problem
                states[:, unseen] = np.clip(rolled[:, unseen], problem.low, problem.high)
            samples.append(replace(sample, states=states))
        return Problem(tuple(samples), weak.noise, weak.seed)

    def segments(self) -> Segments:
        task = self.task
        return Segments(task.problem, self.bounds, self.learner, task.unseen, self.settings.loss)

    def loss_of(self, form: WeakForm) -> float:
        with torch.no_grad():
            return float(form.loss(self.bounds))

    def weak(self, paths: list[list[Paths]], weak: Problem) -> bool:
        """Train the hidden weights on the weak form; return whether it was interrupted."""
        like = self.field.own.detach()
        form = WeakForm.of(weak, paths, number=1, like=like, most=WEAK_POINTS)
        outputs = {id(self.field.own), id(self.field.pair)}
        hidden = [p for p in self.field.parameters() if id(p) not in outputs]

        def solve_for_output() -> None:
            normal = normal_equations(self.field, form, self.bounds)
            set_output(self.field, normal.solved(self.penalty))

        def loss(_: None) -> Tensor:
            solve_for_output()
            return form.loss(self.bounds)

        def score() -> float:
            solve_for_output()  # the line search may have ended at another point than its last one
            return self.score()

        return self.stage("weak form", loss, hidden, self.settings.weak_epochs, (0.3, 0.5), score)

    def grow(self, form: WeakForm) -> bool:
        """Train the output weights over growing segments; return whether it was interrupted."""
        settings, learner = self.settings, self.learner
        directions = normal_equations(self.field, form, self.bounds).whitening()
        segments = self.segments()
        lengths = [min(m, segments.longest) or segments.longest for m in settings.lengths]
        for number, length in enumerate(dict.fromkeys(lengths)):
            if any(len(u) for u in self.task.unseen):
                rolled = [
                    roll_out_numeric(b, s.times, self.start(k), tolerance=1e-4)
                    for k, (b, s) in enumerate(
                        zip(self.bounds, self.task.problem.samples, strict=True)
                    )
                ]
                segments.refresh(rolled)
            learner.turn(directions)
            trained = [*learner.steps.parameters(), *learner.share.parameters()]
            if settings.loss == "gaussian":
                trained.append(learner.log_noise)
            pieces = segments.pieces(length)

            def loss(_: None, pieces: list[Piece] = pieces) -> Tensor:
                return segments.loss(pieces)

            def score() -> float:
                learner.settle()
                return self.score()

            share = (0.5 + 0.5 * number / len(lengths), 0.5 + 0.5 * (number + 1) / len(lengths))
            name = f"segments of {length}"
            if self.stage(name, loss, trained, settings.segment_epochs, share, score):
                return True
        return False

    def stage(
        self,
        name: str,
        loss: Callable[[None], Tensor],
        trained: list[torch.nn.Parameter],
        epochs: int,
        share: tuple[float, float],
        score: Callable[[], float],
    ) -> bool:
        """Run one stage through the loop; the better of its best and its first weights stay."""
        first = {key: value.detach().clone() for key, value in self.learner.state_dict().items()}
        before = self.score()
        path = None if self.checkpoints is None else self.checkpoints / f"{name}.safetensors"
        identity = {"stage": name, "seed": self.seed, "settings": str(asdict(self.settings))}
        optimiser = torch.optim.LBFGS(
            [p for p in trained if p.numel()],
            max_iter=self.settings.iterations,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )
        try:
            result = train(
                self.learner,
                _everything,
                loss,
                optimiser=optimiser,
                epochs=epochs,
                score=score,
                patience=self.settings.patience,
                checkpoint=None if path is None else Checkpoint(path, 20.0, identity),
                progress=lambda done, text: self.told(
                    share[0] + done * (share[1] - share[0]), f"{name}: {text}"
                ),
                seed=self.seed,
            )
        except ComputationError:
            # A step too far for this stage: what it began with stays, and the history tells.
            self.learner.load_state_dict(first)
            self.note(name, 0, float("nan"), float("nan"))
            return False
        for line in result.history:
            self.note(name, line.epoch, line.loss, line.score)
        if not result.best_score < before:
            self.learner.load_state_dict(first)
        return result.interrupted

    def note(self, stage: str, epoch: int, loss: float, error: float) -> None:
        line = {"stage": stage, "epoch": epoch, "loss": loss, "validation_error": error}
        self.rows.append(line)


def _everything(epoch: int, generator: np.random.Generator) -> list[None]:
    """Return the only batch of full-batch training."""
    del epoch, generator
    return [None]


def train_field(
    field: MessagePassingField,
    bounds: Sequence[BoundField],
    task: Task,
    *,
    settings: TrainingSettings,
    teacher: Problem | None = None,
    doubted: bool = False,
    seed: int = 0,
    checkpoints: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Trained:
    """Train a field in place, in the stages of this file's header.

    Args:
        field: the field, its hidden units spread.
        bounds: the field on the graph of each sample.
        task: readings and validation.
        settings: lengths of the stages.
        teacher: dense, clean paths of a closed-form field, to start from.
        doubted: whether to start without the teacher where that at once errs by less than half.
        seed: seed of everything random.
        checkpoints: folder for the stages' checkpoints; a stage found there is taken up.
        progress: told the share done.

    Raises:
        ComputationError: no roll-out of the trained field reaches the end of the training times.
    """
    told = progress or (lambda _share, _text: None)
    trainer = _Trainer(field, list(bounds), task, settings, seed, checkpoints, told)
    samples = task.problem.samples
    hidden = [np.asarray(s.start)[u] for s, u in zip(samples, task.unseen, strict=True)]
    size = task.problem.size
    noise = np.maximum(task.problem.noise, 0.01 * size) / size
    trainer.learner = Learner(field, hidden, noise, task.problem.low, task.problem.high)
    form, paths, weak = trainer.linear_start(teacher)
    if teacher is not None and doubted and trainer.score() > settings.enough:
        other = trainer.better_without_teacher()
        if other is not None:
            (form, paths, weak), teacher = other, None
    interrupted = settings.weak_epochs > 0 and trainer.weak(paths, weak)
    rough = task.problem.noisy or trainer.score() > settings.enough
    if not interrupted and settings.segment_epochs > 0 and rough:
        interrupted = trainer.grow(form)
    if trainer.score() >= LOST:
        raise ComputationError(
            "no roll-out of the trained field reaches the end of the training times: perhaps the "
            "times are too few or too far apart, or the network is not the one that couples these "
            "nodes"
        )
    starts = [trainer.start(k) for k in range(len(samples))]
    if teacher is not None:
        form = trainer.form_of_readings()
    began_from = "weak" if teacher is None else "closed_form"
    history = pandas.DataFrame(trainer.rows)
    return Trained(history, starts, form, trainer.penalty, interrupted, began_from)
