"""Growth: closed solutions against their equations, parameters found again, honest forecasts."""

import numpy as np
import pytest

from graphtide.dynamics.simulate import simulate
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.growth import explain_growth, growth_equation
from graphtide.mechanisms.growth_curve import GrowthCurve, read_curve
from graphtide.mechanisms.growth_fit import GrowthFit, fit_law
from graphtide.mechanisms.growth_laws import GROWTH_LAWS, Span, effective_time
from graphtide.mechanisms.growth_links import densification, fit_links, solve_links

SPAN = Span(1.0, 40.0, 0.0)
TIMES = np.linspace(1.0, 40.0, 60)
EXCESS = float(np.log(5000.0 / 10.0 - 1.0))
# Internal parameters of each law: n0 = 10, and N = 5000 where there is one.
INTERNAL = {
    "exponential": [np.log(10.0), np.log(0.1)],
    "power law": [np.log(10.0), np.log(1.3)],
    "logistic": [np.log(10.0), np.log(0.3), EXCESS],
    "Gompertz": [np.log(10.0), np.log(0.1), np.log(np.log(500.0))],
    "Bass": [np.log(10.0), np.log(0.004), np.log(0.3), EXCESS],
    "NetTide": [np.log(10.0), np.log(0.9) - 0.5 * np.log(SPAN.middle_age), 0.5, EXCESS],
}


def curve_of(name):
    return GROWTH_LAWS[name].log_size(np.array(INTERNAL[name]), TIMES, SPAN)


@pytest.mark.parametrize("name", GROWTH_LAWS)
def test_closed_solutions_solve_their_equations(name):
    """The equation that is reported, integrated, gives the closed solution."""
    fit = fit_law(GROWTH_LAWS[name], TIMES, curve_of(name), SPAN)
    equation = growth_equation(fit)
    start = np.array([[fit.parameters["n0"]]])
    node = Graph.from_source("single")
    states = simulate(
        equation, node, TIMES, start, relative_tolerance=1e-9, absolute_tolerance=1e-9
    ).states[:, 0, 0]
    np.testing.assert_allclose(states, np.exp(curve_of(name)), rtol=1e-5)


@pytest.mark.parametrize("name", GROWTH_LAWS)
def test_parameters_come_back_and_errors_cover(name):
    """Two standard errors cover each parameter in about 95 % of 30 noisy curves."""
    law = GROWTH_LAWS[name]
    true = law.natural(np.array(INTERNAL[name]), SPAN)
    generator = np.random.default_rng(0)
    inside = []
    for _ in range(30):
        noisy = curve_of(name) + 0.03 * generator.standard_normal(len(TIMES))
        fit = fit_law(law, TIMES, noisy, SPAN)
        errors = fit.standard_errors
        inside += [
            abs(fit.parameters[p] - t) <= 2.0 * errors[p]
            for p, t in zip(law.parameters, true, strict=True)
        ]
    assert 0.85 <= np.mean(inside) <= 1.0


def test_nettide_comes_back_within_a_tenth_at_five_per_cent_noise():
    generator = np.random.default_rng(1)
    law, times = GROWTH_LAWS["NetTide"], np.linspace(1.0, 40.0, 100)
    true = np.array(law.natural(np.array(INTERNAL["NetTide"]), SPAN))
    clean = law.log_size(np.array(INTERNAL["NetTide"]), times, SPAN)
    for _ in range(5):
        noisy = np.log(np.exp(clean) * (1.0 + 0.05 * generator.standard_normal(len(times))))
        found = np.array(list(fit_law(law, times, noisy, SPAN).parameters.values()))
        assert (np.abs(found / true - 1.0) < 0.1).all()


def test_effective_time_is_smooth_through_theta_one():
    times = np.geomspace(1.0, 1e6, 20)
    span = Span(1.0, 1e6, 0.0)
    at_one = effective_time(times, 1.0, span)
    np.testing.assert_allclose(at_one, np.log(times), rtol=1e-14)
    for theta in (1.0 - 1e-13, 1.0 + 1e-13, 1.0 - 1e-9, 1.0 + 1e-9):
        np.testing.assert_allclose(effective_time(times, theta, span), at_one, rtol=1e-7)
    np.testing.assert_allclose(effective_time(times, 0.0, span), times - 1.0, rtol=1e-12)
    np.testing.assert_allclose(effective_time(times, 2.0, span), 1.0 - 1.0 / times, rtol=1e-12)


def test_nettide_holds_its_special_cases():
    u = np.array(INTERNAL["NetTide"])
    logistic = np.array(INTERNAL["logistic"])
    as_nettide = np.array([logistic[0], logistic[1], 0.0, logistic[2]])
    np.testing.assert_allclose(
        GROWTH_LAWS["NetTide"].log_size(as_nettide, TIMES, SPAN), curve_of("logistic"), rtol=1e-12
    )
    # theta = 1 and N far away: a power law of exponent r.
    far = np.array([u[0], np.log(1.3) - np.log(SPAN.middle_age), 1.0, 80.0])
    np.testing.assert_allclose(
        GROWTH_LAWS["NetTide"].log_size(far, TIMES, SPAN), curve_of("power law"), rtol=1e-10
    )


def test_no_law_overflows():
    times = np.linspace(1.0, 1000.0, 50)
    span = Span(1.0, 1000.0, 0.0)
    for name, law in GROWTH_LAWS.items():
        for excess in (-60.0, 60.0, 500.0):
            u = np.array(INTERNAL[name])
            if law.capacity:
                u[-1] = excess if name != "Gompertz" else np.log(200.0)
            assert np.isfinite(law.log_size(u, times, span)).all(), name


def test_saturation_is_determined_only_where_the_curve_bends():
    law = GROWTH_LAWS["logistic"]
    generator = np.random.default_rng(0)
    late = curve_of("logistic") + 0.02 * generator.standard_normal(len(TIMES))
    low, high = fit_law(law, TIMES, late, SPAN).interval("N", TIMES, late)
    assert low < 5000.0 < high < 5400.0
    early, readings = TIMES[:20], late[:20]
    _, high = fit_law(law, early, readings, Span(1.0, early[-1], 0.0)).interval(
        "N", early, readings
    )
    assert high is None


def test_profile_of_a_linear_parameter_is_its_wald_interval():
    """log n = log n0 + r t is nearly linear in r: both intervals agree."""
    law = GROWTH_LAWS["exponential"]
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(TIMES))
    noisy = curve_of("exponential") + noise
    fit = fit_law(law, TIMES, noisy, SPAN)
    low, high = fit.interval("r", TIMES, noisy)
    assert (high - low) / 2.0 == pytest.approx(1.96 * fit.standard_errors["r"], rel=0.06)


def test_correlated_residuals_count_as_fewer():
    generator = np.random.default_rng(0)
    steps = generator.standard_normal(400)
    slow = np.zeros(400)
    for k in range(1, 400):
        slow[k] = 0.8 * slow[k - 1] + 0.02 * steps[k]
    times = np.linspace(1.0, 40.0, 400)
    clean = GROWTH_LAWS["exponential"].log_size(np.array(INTERNAL["exponential"]), times, SPAN)
    fit = fit_law(GROWTH_LAWS["exponential"], times, clean + slow, SPAN)
    assert 400 * (0.2 / 1.8) * 0.5 < fit.effective_count < 400 * (0.2 / 1.8) * 2.0


@pytest.mark.parametrize("name", ["logistic", "Gompertz", "NetTide"])
def test_the_right_law_forecasts_best(name):
    noise = 0.005 * np.random.default_rng(0).standard_normal(len(TIMES))
    curve = GrowthCurve(TIMES, np.exp(curve_of(name) + noise))
    result = explain_growth(curve, horizon=5, origin=0.0)
    assert result.best.fit.law.name == name
    assert result.change_points == ()
    forecast = result.forecast
    true = np.exp(GROWTH_LAWS[name].log_size(np.array(INTERNAL[name]), forecast.times, SPAN))
    assert ((forecast.low < true) & (true < forecast.high)).all()


def test_a_second_wave_is_a_change_point():
    times = np.arange(1.0, 101.0)
    waves = 100 / (1 + 99 * np.exp(-0.3 * (times - 1))) + 2000 / (1 + np.exp(-0.4 * (times - 65)))
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(100))
    result = explain_growth(GrowthCurve(times, waves * noise))
    assert result.change_points
    assert min(abs(when - 50.0) for when in result.change_points) < 8.0


def nettide():
    return GrowthFit(
        GROWTH_LAWS["NetTide"],
        SPAN,
        np.array(INTERNAL["NetTide"]),
        np.eye(4),
        np.zeros(len(TIMES)),
        float(len(TIMES)),
    )


def test_links_solve_nettides_equation():
    """Against a fine explicit integration of de/dt and dn/dt together."""
    nodes = nettide()
    rates = {"e0": 12.0, "b": 0.6, "alpha": 1.4, "gamma": 0.3}
    found = solve_links(TIMES, nodes, **rates)
    r, theta, capacity = (nodes.parameters[p] for p in ("r", "theta", "N"))

    def slopes(t, n, e):
        dn = r * n * (1 - n / capacity) / t**theta
        target = rates["alpha"] * n * (n - 1) ** rates["gamma"]
        return dn, rates["b"] / t**theta * (target - e) + 2 * dn

    n, e, step = nodes.parameters["n0"], rates["e0"], 1e-3
    for k in range(39000):
        t = 1.0 + k * step
        a = slopes(t, n, e)
        b = slopes(t + step / 2, n + a[0] * step / 2, e + a[1] * step / 2)
        n, e = n + b[0] * step, e + b[1] * step
    assert found[0] == pytest.approx(12.0)
    assert found[-1] == pytest.approx(e, rel=2e-4)


def test_links_come_back():
    nodes = nettide()
    true = {"e0": 12.0, "b": 0.6, "alpha": 1.4, "gamma": 0.3}
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(len(TIMES)))
    fit = fit_links(TIMES, solve_links(TIMES, nodes, **true) * noise, nodes)
    for name, value in true.items():
        assert abs(fit.parameters[name] - value) < 4.0 * fit.standard_errors[name], name
    slope = densification(np.exp(curve_of("power law")), np.exp(1.5 * curve_of("power law")))
    assert slope.exponent == pytest.approx(1.5)


def write(path, sizes, times=None):
    times = range(1, len(sizes) + 1) if times is None else times
    rows = (f"{t},{n}" for t, n in zip(times, sizes, strict=True))
    path.write_text("time,size\n" + "\n".join(rows) + "\n")
    return path


GOOD = [10, 12, 15, 20, 24, 30, 33, 40, 47, 52]


@pytest.mark.parametrize(
    ("sizes", "times", "message"),
    [
        ([*GOOD[:5], 10, *GOOD[6:]], None, r"curve.csv, row 7: the size falls from 24 to 10"),
        (GOOD[::-1], None, r"curve.csv, row \d+: the size falls"),
        ([10.0] * 10, None, r"row 11: the size ends at 10 after beginning at 10"),
        ([*GOOD[:5], -3, *GOOD[6:]], None, r"row 7: the size is -3; a positive number"),
        ([*GOOD[:5], "", *GOOD[6:]], None, r"row 7: the size is nan"),
        ([*GOOD[:5], "many", *GOOD[6:]], None, r"row 7, column 'size': 'many' is not a number"),
        (GOOD, [1, 2, 3, 4, 5, 5, 7, 8, 9, 10], r"row 7: time 5 follows 5"),
        (GOOD[:5], None, r"5 readings; at least 8"),
    ],
)
def test_bad_curves_name_file_and_row(tmp_path, sizes, times, message):
    with pytest.raises(InputError, match=message):
        read_curve(write(tmp_path / "curve.csv", sizes, times))


def test_dates_become_days(tmp_path):
    dates = [f"2020-01-{day:02}" for day in range(1, 11)]
    curve = read_curve(write(tmp_path / "curve.csv", GOOD, dates))
    assert curve.times.tolist() == list(range(10))
    assert curve.time_unit == "days"


def test_a_missing_column_and_a_late_origin_are_refused(tmp_path):
    path = write(tmp_path / "curve.csv", GOOD)
    with pytest.raises(InputError, match="column 'users' is missing"):
        read_curve(path, size="users")
    with pytest.raises(InputError, match="origin 3 is not before"):
        explain_growth(read_curve(path), origin=3.0)
