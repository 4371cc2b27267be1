"""The training loop: resuming bit for bit, early stopping, interruption, errors."""

import importlib.util
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from graphtide.errors import ComputationError, InputError
from graphtide.training.loop import Checkpoint, train
from graphtide.training.schedule import constant, cosine

SCRIPT = Path(__file__).with_name("train_small_network.py")


def small_network():
    spec = importlib.util.spec_from_file_location("train_small_network", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_killed_at_a_random_moment_and_resumed_gives_the_same_weights(tmp_path, optimiser):
    network = small_network()
    model, undisturbed = network.run(None, optimiser)
    file = tmp_path / "checkpoint.safetensors"
    child = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(file), optimiser], stdout=subprocess.PIPE, text=True
    )
    with child:
        for _ in range(random.randint(2, 30)):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    resumed, training = network.run(file, optimiser)
    assert same(weights(model), weights(resumed))
    assert [line.loss for line in training.history] == [line.loss for line in undisturbed.history]
    # A finished training is taken as it is.
    again, _ = network.run(file, optimiser)
    assert same(weights(model), weights(again))


def test_ctrl_c_ends_between_two_steps_and_is_taken_up_again(tmp_path):
    network = small_network()
    model, _ = network.run(None)
    calls = iter(range(1000))

    def tell():
        if next(calls) == 17:
            os.kill(os.getpid(), signal.SIGINT)

    file = tmp_path / "checkpoint.safetensors"
    _, stopped = network.run(file, tell=tell)
    assert stopped.interrupted
    assert 0 <= stopped.best_epoch < network.EPOCHS - 1
    resumed, training = network.run(file)
    assert not training.interrupted
    assert same(weights(model), weights(resumed))


def line_model():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    return model


def follow(model, **options):
    """Train w towards 3 on (w - 3)^2."""
    return train(
        model,
        lambda epoch, generator: [None],
        lambda _: (model.weight - 3.0).square().sum(),
        optimiser=torch.optim.SGD(model.parameters(), lr=0.1),
        **options,
    )


def test_early_stopping_keeps_the_best_weights():
    model = line_model()
    # The held-out score wants w = 1, which the training passes on its way to 3.
    result = follow(
        model, epochs=50, patience=3, score=lambda: abs(float(model.weight.detach()) - 1.0)
    )
    assert len(result.history) == result.best_epoch + 4
    after = 3.0 * (1.0 - 0.8 ** (result.best_epoch + 1))
    assert float(model.weight.detach()) == pytest.approx(after)
    assert result.best_score == min(line.score for line in result.history)


def test_the_last_weights_stay_where_the_best_are_not_wanted():
    model = line_model()
    result = follow(
        model, epochs=20, keep_best=False, score=lambda: abs(float(model.weight.detach()) - 1.0)
    )
    assert result.best_epoch < 5
    assert float(model.weight.detach()) == pytest.approx(3.0 * (1.0 - 0.8**20))


def test_torch_random_numbers_of_the_caller_are_left_alone():
    model, state = line_model(), torch.get_rng_state()
    follow(model, epochs=2)
    assert torch.equal(torch.get_rng_state(), state)


def test_clipping_holds_the_step():
    model = line_model()
    follow(model, epochs=1, clip=0.5)
    assert float(model.weight.detach()) == pytest.approx(0.1 * 0.5, rel=1e-5)


def test_schedule_scales_the_rate():
    model = line_model()
    result = follow(model, epochs=3, schedule=lambda step: 0.5**step)
    assert [line.learning_rate for line in result.history] == pytest.approx([0.1, 0.05, 0.025])
    rise = cosine(10, warmup=4, last=0.1)
    assert [rise(s) for s in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rise(4) == 1.0
    assert rise(7) == pytest.approx(0.55)
    assert rise(10) == rise(99) == pytest.approx(0.1)
    assert constant(5) == 1.0


def test_a_loss_that_runs_off_is_an_error_and_the_best_weights_stay():
    model = line_model()
    with pytest.raises(ComputationError, match="not a finite number in epoch 400"):
        train(
            model,
            lambda epoch, generator: [None],
            lambda _: (model.weight - 3.0).square().sum() * (1.0 if len(steps) < 400 else math_nan),
            optimiser=torch.optim.SGD(model.parameters(), lr=0.1),
            epochs=500,
            progress=lambda share, text: steps.append(text),
        )
    assert float(model.weight.detach()) == pytest.approx(3.0)


steps: list[str] = []
math_nan = float("nan")


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    follow(line_model(), epochs=1, checkpoint=Checkpoint(file, 0.0, {"data": "a"}))
    with pytest.raises(InputError, match="of another training"):
        follow(line_model(), epochs=1, checkpoint=Checkpoint(file, 0.0, {"data": "b"}))
    wider = nn.Linear(2, 1, bias=False)
    with pytest.raises(InputError, match="of another model"):
        follow(wider, epochs=1, checkpoint=Checkpoint(file, 0.0, {"data": "a"}))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match="damaged"):
        follow(line_model(), epochs=1, checkpoint=Checkpoint(file, 0.0, {"data": "a"}))


@pytest.mark.parametrize(
    "options", [{"epochs": 0}, {"epochs": 1, "clip": 0.0}, {"epochs": 1, "devices": 0}]
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(InputError):
        follow(line_model(), **options)


@pytest.mark.slow
def test_killed_ten_times_at_random_moments_gives_the_same_weights(tmp_path):
    network = small_network()
    model, _ = network.run(None)
    file, kills = tmp_path / "checkpoint.safetensors", 0
    while kills < 10:
        child = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(file), "adam"], stdout=subprocess.PIPE, text=True
        )
        with child:
            for _ in range(random.randint(1, 4)):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)
        kills += child.returncode == -signal.SIGKILL
    resumed, _ = network.run(file)
    assert same(weights(model), weights(resumed))
