"""The command ``mechanisms distribution`` as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphtide.errors import InputError
from graphtide.mechanisms.distributions.reading import parse_ages, read_columns
from graphtide.trajectory import Trajectory


def write(path, **columns):
    names = list(columns)
    rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    lines = [",".join(names), *(",".join(map(repr, row)) for row in rows)]
    Path(path).write_text("\n".join(lines) + "\n")


def figures(outcome):
    code, out, err = outcome
    assert code == 0, err
    return json.loads(out)


def test_a_power_law_grows_in_proportion_to_size_and_can_be_simulated(call):
    write("sizes.csv", size=1 + np.random.default_rng(0).pareto(1.5, 3_000))
    found = figures(
        call("mechanisms", "distribution", "sizes.csv", "--column", "size", "--ages",
             "exponential:0.1", "--bootstrap", "9", "--out", "run", "--json")
    )  # fmt: skip
    assert found["best"] == "pareto"
    assert found["ks"] < 0.03
    assert found["x_min"] >= 1.0
    assert "growth in proportion to size" in found["mechanism"].lower()
    pareto = next(f for f in found["families"] if f["name"] == "pareto")
    assert set(pareto) >= {"name", "parameters", "standard_errors", "ks", "held_out_log_likelihood"}
    assert abs(pareto["parameters"]["exponent"] - 1.5) < 3 * pareto["standard_errors"]["exponent"]
    page = Path("run/report.html").read_text()
    assert "Growth in proportion to size" in page
    assert page.count("<svg") >= 3
    figures(
        call("dynamics", "simulate", "run", "--graph", "erdos_renyi:4:0", "--times", "0:10:3",
             "--out", "grown.csv", "--json")
    )  # fmt: skip
    states = Trajectory.read("grown.csv").states[:, :, 0]
    rate = 0.1 / pareto["parameters"]["exponent"]
    np.testing.assert_allclose(states[-1] / states[0], np.exp(10 * rate), rtol=1e-4)


def test_two_dates_give_the_clock(call):
    first, second = np.random.default_rng(0).lognormal(1, 0.5, (2, 1_500))
    sizes = np.concatenate([first, second * np.exp(0.3)])
    write("dated.csv", size=sizes, year=np.repeat([2000, 2005], 1_500))
    found = figures(
        call("mechanisms", "distribution", "dated.csv", "--column", "size", "--date", "year",
             "--bootstrap", "0", "--out", "run", "--json")
    )  # fmt: skip
    assert found["clock"] == "dates"
    law = found["cohorts"][0]
    assert law["name"] == "proportional"
    assert abs(law["parameters"]["rate"] - 0.06) < 3 * law["standard_errors"]["rate"]
    assert "Quantiles" in Path("run/report.html").read_text()


def test_counts_weights_and_censoring_are_read_from_columns(call):
    generator = np.random.default_rng(0)
    counts, times = np.unique(generator.geometric(0.3, 4_000), return_counts=True)
    write("counts.csv", degree=counts, nodes=times)
    found = figures(
        call("mechanisms", "distribution", "counts.csv", "--column", "degree", "--discrete",
             "--weights", "nodes", "--families", "exponential,weibull,pareto", "--out", "a",
             "--json")
    )  # fmt: skip
    assert found["best"] == "exponential"
    assert found["samples"] == 4_000
    assert any("whole numbers" in note for note in found["notes"])
    true, limit = generator.exponential(2.0, 500), generator.exponential(4.0, 500)
    write("seen.csv", time=np.minimum(true, limit), died=(true <= limit) * 1)
    found = figures(
        call("mechanisms", "distribution", "seen.csv", "--column", "time", "--observed", "died",
             "--out", "b", "--json")
    )  # fmt: skip
    assert found["best"] == "exponential"
    assert found["p_value_ks"] is None


def test_the_table_for_a_reader_names_law_and_limits(call):
    write("sizes.csv", size=np.random.default_rng(0).exponential(2.0, 400))
    code, out, err = call(
        "mechanisms", "distribution", "sizes.csv", "--column", "size", "--out", "run"
    )
    assert code == 0, err
    words = " ".join(out.split())
    assert "by the same amount in each unit of time" in words
    assert "only up to the clock" in words


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ("1\n2", (), "2 samples"),
        ("3\n" * 30, (), "all 30 values equal 3"),
        ("1\n2\nabc\n4", (), "row 4, column 'size': 'abc' is not a number"),
        ("1\n2\n3", ("--column", "weight"), "column 'weight' is missing"),
        ("\n".join(map(str, range(-20, 20))), ("--families", "pareto"), "positive sizes only"),
        ("\n".join(map(str, range(1, 40))), ("--families", "zipf"), "no family 'zipf'"),
        ("\n".join(map(str, range(1, 40))), ("--ages", "gamma:2"), "exponential:rate"),
        ("\n".join(f"{k}.5" for k in range(40)), ("--discrete",), "not a whole number"),
        (
            "\n".join(map(str, range(1, 40))),
            ("--date", "size", "--ages", "exponential:1"),
            "--date stands alone",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence_and_nothing_is_written(call, rows, options, said):
    Path("sizes.csv").write_text(f"size\n{rows}\n")
    column = () if "--column" in options else ("--column", "size")
    code, out, err = call(
        "mechanisms", "distribution", "sizes.csv", *column, *options, "--out", "run"
    )
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert not Path("run").exists()


def test_negative_sizes_are_explained_by_families_that_hold_them(call):
    write("sizes.csv", size=np.random.default_rng(0).normal(0.0, 1.0, 2_000))
    found = figures(
        call("mechanisms", "distribution", "sizes.csv", "--column", "size", "--out", "run",
             "--json")
    )  # fmt: skip
    assert found["best"] == "gaussian"
    assert found["x_min"] is None
    assert any("positive sizes only" in note for note in found["notes"])


def test_rows_without_a_value_are_left_out_and_counted(tmp_path):
    path = tmp_path / "sizes.csv"
    path.write_text("size,w\n1,1\n,2\n3,1\nNA,1\n")
    table = read_columns(path, "size", weights="w")
    assert table.values.tolist() == [1.0, 3.0]
    assert table.others["weights"].tolist() == [1.0, 1.0]
    assert table.missing == 2


def test_large_tables_are_read_alike(tmp_path, monkeypatch):
    path = tmp_path / "sizes.csv"
    path.write_text("a,size\n" + "".join(f"x,{k}.25\n" for k in range(500)))
    slow = read_columns(path, "size")
    monkeypatch.setattr("graphtide.mechanisms.distributions.reading._LARGE", 10)
    np.testing.assert_array_equal(read_columns(path, "size").values, slow.values)
    path.write_text("a,size\n" + "x,1\n" * 400 + "x,bad\n")
    with pytest.raises(InputError, match="row 402"):
        read_columns(path, "size")


@given(st.floats(1e-300, 1e300))
def test_the_rate_of_ages_is_read_back(rate):
    assert parse_ages(f" exponential : {rate!r} ") == rate


@given(st.text(max_size=20))
def test_other_laws_of_ages_are_refused(text):
    if text.partition(":")[0].strip() != "exponential":
        with pytest.raises(InputError, match=r"^--ages"):
            parse_ages(text)
