"""A forecaster read back from its run says the same, goes on with newer readings, is attacked."""

import dataclasses
import json

import numpy as np
import pandas
import pytest

from graphtide.dynamics.forecast import forecast
from graphtide.dynamics.forecast.attack import attack_forecaster
from graphtide.dynamics.forecast.learned import LEARNED
from graphtide.dynamics.forecast.reloading import load
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.run import Run
from graphtide.trajectory import Trajectory

GRAPH = Graph.from_source("watts_strogatz:8:4:0.2")
NAMES = [
    "last_value", "history_mean", "seasonal_mean", "autoregression", "graph_autoregression",
    "vector_autoregression", "direct_network", "combination",
]  # fmt: skip


def wave(first, last):
    """Return waves on eight nodes from one number of a reading to another, with lasting noise."""
    time = np.arange(240)
    noise = 0.1 * np.random.default_rng(0).normal(size=(240, 8))
    states = np.sin(2 * np.pi * (time[:, None] / 16 + np.arange(8) / 8)) + noise
    return Trajectory(0.5 * time[first:last], states[first:last, :, None], names=GRAPH.names)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    patch = pytest.MonkeyPatch()
    for name, (builder, settings) in LEARNED.items():
        short = dataclasses.replace(settings, epochs=4, least_steps=1, width=8)
        patch.setitem(LEARNED, name, (builder, short))
    made = {}
    for name in NAMES:
        result = forecast(
            wave(0, 200), GRAPH, history=4, horizon=3, period=16, model=name, recurrent=False
        )
        run = Run.create(folder / name, kind="dynamics forecast", configuration={})
        result.save(run)
        made[name] = run, result
    patch.undo()  # what is read back must not depend on the settings of today
    return made


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_back_says_the_same(trained, name):
    run, result = trained[name]
    coming = load(run).coming()
    for ours, before in zip((coming.said, coming.lower, coming.upper), result.next, strict=True):
        np.testing.assert_allclose(ours, before, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(coming.times, 99.5 + 0.5 * np.arange(1, 4))


@pytest.mark.parametrize("name", NAMES)
def test_newer_readings_are_forecast_as_test_windows_are(trained, name):
    """The last test window, its targets cut off and given back as newer readings."""
    run, result = trained[name]
    reloaded = load(run)
    for readings in (wave(0, 197), wave(150, 197)):
        coming = reloaded.coming(readings)
        np.testing.assert_allclose(coming.said, result.predicted[-1], rtol=1e-5, atol=1e-6)
    later = reloaded.coming(wave(195, 237))
    truth = wave(237, 240).states
    np.testing.assert_allclose(later.times, wave(237, 240).times)
    assert np.abs(later.said - truth).mean() < 2.5
    if name == "graph_autoregression":
        assert np.abs(later.said - truth).mean() < 0.25


@pytest.mark.parametrize(
    ("readings", "words"),
    [
        (Trajectory(100.25 + np.arange(8), np.zeros((8, 8, 1)), names=GRAPH.names), "grid"),
        (Trajectory(np.arange(8.0), np.zeros((8, 7, 1)), names=GRAPH.names[:7]), "lack"),
        (
            Trajectory(
                np.arange(8.0), np.zeros((8, 8, 1)), names=GRAPH.names, variables=("speed",)
            ),
            "variables",
        ),
        (Trajectory([150.0], np.full((1, 8, 1), np.nan), names=GRAPH.names), "none of the last"),
    ],
)
def test_readings_that_do_not_fit_are_refused(trained, readings, words):
    with pytest.raises(InputError, match=words):
        load(trained["last_value"][0]).coming(readings)


def test_a_run_without_a_forecaster_is_refused(tmp_path):
    run = Run.create(tmp_path / "run", kind="dynamics forecast", configuration={})
    with pytest.raises(InputError, match="holds no forecaster"):
        load(run)


@pytest.mark.parametrize("name", ["direct_network", "combination"])
def test_attacks_do_more_than_random_signs_and_grow_with_the_radius(trained, name):
    run, result = trained[name]
    found = attack_forecaster(load(run), radii=(0.0, 0.05, 0.2), steps=5)
    assert found.windows == len(result.predicted)
    assert found.attacked[0] == pytest.approx(result.errors.all[0], rel=1e-5)
    assert (np.diff(found.attacked) > 0).all()
    assert (found.attacked[1:] > found.random[1:]).all()


def test_a_plain_forecaster_has_no_network_to_attack(trained):
    with pytest.raises(InputError, match="no network to attack"):
        attack_forecaster(load(trained["autoregression"][0]))


def test_the_commands_forecast_newer_readings_and_attack(trained, tmp_path, monkeypatch, capsys):
    from graphtide.cli.main import run as call

    monkeypatch.chdir(tmp_path)
    source = str(trained["direct_network"][0].path)
    wave(190, 230).write("newer.csv")

    def said(*words):
        with pytest.raises(SystemExit) as ended:
            call(["dynamics", *words])
        return ended.value.code or 0, capsys.readouterr()

    code, texts = said("predict", source, "--readings", "newer.csv", "--out", "next.csv", "--json")
    assert code == 0
    assert json.loads(texts.out)["first_time"] == pytest.approx(115.0)
    table = pandas.read_csv("next.csv")
    assert list(table) == ["time", "node", "forecast", "lower", "upper"]
    assert len(table) == 3 * 8
    assert bool((table["lower"] <= table["upper"]).all())
    code, texts = said("predict", source, "--times", "0:1:5", "--out", "no.csv")
    assert code == 2
    assert "--readings, not --times" in " ".join(texts.err.split())
    code, texts = said("analyse", source, "--out", "attacked", "--json")
    assert code == 0
    figures = json.loads(texts.out)["forecast_attack"]
    assert figures["mae_attacked"][-1] > figures["mae_attacked"][0]
    assert "Attacks on the readings" in (tmp_path / "attacked/report.html").read_text("utf-8")
