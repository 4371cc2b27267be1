"""Trajectories: what is written is read again, whatever is missing, and disorder is refused."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from graphtide.data import us_income
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory
from graphtide.trajectory.files import parse_times, read_start

NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=5
).filter(lambda name: name not in ("time", "node"))
FINITE = st.floats(-1e12, 1e12)


@st.composite
def trajectories(draw):
    """Draw states with irregular times and missing readings; each node and time has one."""
    count = draw(st.integers(1, 6))
    times = np.sort(draw(arrays(float, count, elements=FINITE, unique=True)))
    names = tuple(draw(st.lists(NAMES, min_size=1, max_size=5, unique=True)))
    variables = ("x",) if draw(st.booleans()) else ("prey", "predator")
    shape = (count, len(names), len(variables))
    states = draw(arrays(float, shape, elements=FINITE))
    hidden = draw(arrays(bool, shape))
    hidden[:, :, 0] &= ~(np.eye(count, len(names), dtype=bool) | (np.arange(count) == 0)[:, None])
    hidden[:, 0, 0] = False
    states[hidden] = np.nan
    return Trajectory(times, states, variables=variables, names=names)


def same(one, other):
    assert one.names == other.names
    assert one.variables == other.variables
    assert np.array_equal(one.times, other.times)
    assert np.array_equal(one.states, other.states, equal_nan=True)


@given(trajectories(), st.sampled_from(["csv", "csv.gz", "npz"]))
def test_files_give_back_what_was_written(tmp_path_factory, trajectory, kind):
    path = tmp_path_factory.mktemp("states") / f"states.{kind}"
    trajectory.write(path)
    same(trajectory, Trajectory.read(path))


@given(trajectories())
def test_frames_and_datasets_give_back_what_they_got(trajectory):
    same(trajectory, Trajectory.from_pandas(trajectory.to_pandas()))
    same(trajectory, Trajectory.from_pandas(trajectory.to_pandas("long")))


def test_a_dataset_gives_back_what_it_got(tmp_path):
    pytest.importorskip("xarray")
    trajectory = Trajectory(
        [0.0, 0.5], np.arange(8.0).reshape(2, 2, 2), variables=("S", "I"), names=("Ä", "北")
    )
    same(trajectory, Trajectory.from_xarray(trajectory.to_xarray()))


@given(trajectories(), st.randoms())
def test_the_order_of_rows_and_columns_is_no_matter(trajectory, random):
    frame = trajectory.to_pandas("long").sample(frac=1, random_state=random.randrange(2**32))
    graph = Graph(np.empty((2, 0), dtype=int), names=trajectory.names)
    again = Trajectory.from_pandas(frame.reset_index(drop=True)).with_graph(graph)
    same(trajectory, again)


@pytest.mark.parametrize("encode", [str.encode, lambda text: ("\ufeff" + text).encode()])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_ends_and_byte_order_marks_are_no_matter(tmp_path, encode, line_end):
    content = encode(line_end.join(["time,Łódź,a b", "0,1,", "0.5,2,-3e2", ""]))
    (tmp_path / "states.csv").write_bytes(content)
    (tmp_path / "states.csv.gz").write_bytes(gzip.compress(content))
    for name in ("states.csv", "states.csv.gz"):
        trajectory = Trajectory.read(tmp_path / name)
        assert trajectory.names == ("Łódź", "a b")
        assert np.array_equal(trajectory.states[:, :, 0], [[1, np.nan], [2, -300]], equal_nan=True)
        assert trajectory.mask.sum() == 3


def test_states_follow_the_nodes_of_a_graph():
    graph = Graph(np.array([[0, 1], [1, 0]]), names=("a", "b"), node_count=None)
    mixed = Trajectory([0.0, 1.0], [[1.0, 2.0], [3.0, 4.0]], names=("b", "a")).with_graph(graph)
    assert np.array_equal(mixed.states[:, :, 0], [[2, 1], [4, 3]])
    partly = Trajectory([0.0], [[7.0]], names=("b",)).with_graph(graph)
    assert np.array_equal(partly.observed_nodes, [1])
    with pytest.raises(InputError, match="'c' of the states"):
        Trajectory([0.0], [[1.0, 2.0]], names=("a", "c")).with_graph(graph)
    with pytest.raises(InputError, match="share no node"):
        Trajectory([0.0], [[1.0]], names=("c",)).with_graph(graph)


def test_what_is_no_trajectory_is_refused():
    with pytest.raises(InputError, match="times must increase, but time 2 is 1 after 1"):
        Trajectory([0.0, 1.0, 1.0], np.zeros((3, 1)))
    with pytest.raises(InputError, match="infinite"):
        Trajectory([0.0], [[np.inf]])
    with pytest.raises(InputError, match="do not go together"):
        Trajectory([0.0, 1.0], np.zeros((3, 1)))


def test_a_node_that_stands_twice_at_one_time_is_named(tmp_path):
    (tmp_path / "long.csv").write_text("time,node,x\n0,a,1\n0,b,1\n0,a,2\n")
    with pytest.raises(InputError, match=r"row 4: node 'a' at time 0 stands already in row 2"):
        Trajectory.read(tmp_path / "long.csv")


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 50))
def test_times_as_text_are_evenly_spaced(start, length, count):
    times = parse_times(f"{start!r}:{start + length!r}:{count}")
    assert len(times) == count
    assert (times[0], times[-1]) == (start, start + length)
    assert np.allclose(np.diff(times), length / (count - 1), rtol=1e-3)


@pytest.mark.parametrize("text", ["0:1", "1:0:5", "0:1:1", "a:b:c", "0:inf:3", "no.txt"])
def test_impossible_times_are_refused(text):
    with pytest.raises(InputError, match="times"):
        parse_times(text)


def test_a_start_must_name_every_node(tmp_path):
    graph = Graph.from_source("star:2")
    path = tmp_path / "start.csv"
    path.write_text("node,x\n2,0.5\n0,1\n1,2\n")
    assert np.array_equal(read_start(path, graph, ("x",))[:, 0], [1, 2, 0.5])
    path.write_text("node,x\n2,0.5\n0,1\n")
    with pytest.raises(InputError, match="node '1' has no value of x"):
        read_start(path, graph, ("x",))


def test_the_incomes_are_those_of_48_states_over_81_years():
    income = us_income()
    assert income.states.shape == (81, 48, 1)
    assert (income.times[0], income.times[-1]) == (1929, 2009)
    assert income.mask.all()
    assert income.graph.node_count == 48
    degree = dict(zip(income.names, income.graph.degree, strict=True))
    assert degree["Maine"] == 1  # New Hampshire alone
    assert degree["Missouri"] == degree["Tennessee"] == 8  # no state has more neighbours
    assert max(degree.values()) == 8
    last = dict(zip(income.names, income.states[-1, :, 0], strict=True))
    assert max(last, key=last.get) == "Connecticut"
    assert min(last, key=last.get) == "Mississippi"
