"""Each bad input ends in exit code 2, one clear sentence on standard error, and nothing written."""

import gzip

import pytest

EDGES = "source,target\na,b\nb,c\nc,d\nd,a\n"
STATES = "time,a,b,c,d\n" + "".join(f"{k / 10},{k},{2 * k},{3 * k},{k * k}\n" for k in range(30))
HEAT = "dx/dt = sum_j A_ij*(x_j - x_i)"


@pytest.fixture(autouse=True)
def good_files(tmp_path):
    """Write a network and states that are as they should be."""
    (tmp_path / "edges.csv").write_text(EDGES)
    (tmp_path / "states.csv").write_text(STATES)


def refused(call, tmp_path, arguments, *words):
    before = sorted(entry.name for entry in tmp_path.iterdir())
    code, out, err = call(*arguments)
    assert code == 2, (code, out, err)
    assert out == ""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in err, (word, err)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before


BAD_STATES = {
    "unknown node": ("time,a,b,c,stranger\n" + STATES.split("\n", 1)[1], ["stranger", "node"]),
    "empty": ("", ["states.csv", "empty"]),
    "binary": (b"\x00\x01\x02\x03" * 9, ["states.csv", "binary"]),
    "no time column": (STATES.replace("time", "clock"), ["time"]),
    "column doubled": (STATES.replace("time,a,b,c,d", "time,a,b,b,d"), ["'b'", "twice"]),
    "times go back": (STATES.replace("\n0.5,", "\n0.1,"), ["row 7"]),
    "text among numbers": (STATES.replace("\n0.5,5,", "\n0.5,five,"), ["row 7", "five"]),
    "infinity": (STATES.replace("\n0.5,5,", "\n0.5,inf,"), ["row 7", "infinit"]),
    "no node shared": (STATES.replace("time,a,b,c,d", "time,p,q,r,s"), ["share no node"]),
}


@pytest.mark.parametrize("command", [("dynamics", "fit"), ("mechanisms", "equation")])
@pytest.mark.parametrize("name", BAD_STATES)
def test_bad_states(call, tmp_path, command, name):
    content, words = BAD_STATES[name]
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "states.csv").write_bytes(data)
    arguments = [*command, "states.csv", "--graph", "edges.csv", "--out", "run"]
    refused(call, tmp_path, arguments, *words)


@pytest.mark.parametrize("command", [("dynamics", "fit"), ("mechanisms", "equation")])
def test_missing_files(call, tmp_path, command):
    refused(
        call,
        tmp_path,
        [*command, "absent.csv", "--graph", "edges.csv", "--out", "run"],
        "absent.csv",
        "no such file",
    )
    refused(
        call, tmp_path, [*command, "states.csv", "--graph", "absent.csv", "--out", "run"], "absent"
    )


BAD_EDGES = {
    "empty": (b"", ["edges.csv", "empty"]),
    "binary": (b"\x00\x01\x02\x03" * 9, ["edges.csv", "binary"]),
    "damaged gzip": (gzip.compress(EDGES.encode())[:30], ["edges.csv", "gzip"]),
    "column missing": (EDGES.replace("target", "goal").encode(), ["target", "missing"]),
    "column doubled": (b"source,target,target\na,b,c\n", ["'target'", "twice"]),
    "text as weight": (b"source,target,weight\na,b,heavy\n", ["row 2", "heavy"]),
    "infinite weight": (b"source,target,weight\na,b,inf\n", ["row 2", "infinit"]),
}


@pytest.mark.parametrize("name", BAD_EDGES)
def test_bad_edges(call, tmp_path, name):
    content, words = BAD_EDGES[name]
    (tmp_path / "edges.csv").write_bytes(content)
    arguments = ["dynamics", "fit", "states.csv", "--graph", "edges.csv", "--out", "run"]
    refused(call, tmp_path, arguments, *words)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ("barabasi_albert:5:10", ["barabasi_albert"]),
        ("barabasi_albert:-1:2", ["barabasi_albert"]),
        ("barabasi_albert:five:2", ["five"]),
        ("barabasi_albert:5", ["barabasi_albert"]),
        ("erdos_renyi:10:1.5", ["1.5"]),
        ("grid:0:5", ["grid"]),
        ("barabasi_alber:400:5", ["barabasi_albert"]),
    ],
)
def test_impossible_generators(call, tmp_path, graph, words):
    arguments = ["dynamics", "simulate", HEAT, "--graph", graph, "--times", "0:1:5"]
    refused(call, tmp_path, [*arguments, "--out", "out.csv"], *words)


@pytest.mark.parametrize(
    ("equation", "words"),
    [
        ("dx/dt = __import__('os').system('echo bad')", []),
        ("dx/dt = __import__", ["__import__"]),
        ("dx/dt = x.real", []),
        ("dx/dt = (-x + 1", ["bracket"]),
        ("dx/dt = -x) + 1", ["bracket"]),
        ("dx/dt = sinus(x)", ["sinus", "sin"]),
        ("dx/dt = 9**9**9**9", []),
        ("dx/dt = x_j", ["x_j"]),
        ("dx/dt = k*x", ["k", "value"]),
        ("dx/dt = ", []),
        ("heatt", ["heat"]),
        ("dx/dt = -x, dx/dt = x", ["x"]),
        ("dx/dt = " + "(" * 5000 + "x" + ")" * 5000, []),
    ],
)
def test_bad_equations(call, tmp_path, equation, words):
    arguments = ["dynamics", "simulate", equation, "--graph", "edges.csv", "--times", "0:1:5"]
    refused(call, tmp_path, [*arguments, "--out", "out.csv"], *words)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--times", "0:1"], ["0:1"]),
        (["--times", "5:0:10"], ["5:0:10"]),
        (["--times", "0:1:1.5"], ["0:1:1.5"]),
        (["--times", "0:nan:5"], ["0:nan:5"]),
        (["--times", "0:1:5", "--param", "k"], ["--param k"]),
        (["--times", "0:1:5", "--param", "k=big"], ["big"]),
        (["--times", "0:1:5", "--param", "q=1"], ["q"]),
        (["--times", "0:1:5", "--method", "leapfog"], ["leapfog"]),
        (["--times", "0:1:5", "--start", "absent.csv"], ["absent.csv"]),
    ],
)
def test_bad_calls_of_simulate(call, tmp_path, extra, words):
    arguments = ["dynamics", "simulate", "heat", "--graph", "edges.csv", "--out", "out.csv"]
    refused(call, tmp_path, [*arguments, *extra], *words)


def test_an_equation_of_ones_own_needs_times(call, tmp_path):
    refused(call, tmp_path, ["dynamics", "simulate", "dx/dt = 2*x", "--out", "o.csv"], "--times")


@pytest.mark.parametrize(
    ("holdout", "words"),
    [
        ("interpolate=-1", []),
        ("extrapolate=0.9,interpolate=0.9", []),
        ("future=0.2", ["future"]),
        ("interpolate", ["interpolate"]),
    ],
)
def test_bad_holdout(call, tmp_path, holdout, words):
    arguments = ["dynamics", "fit", "states.csv", "--graph", "edges.csv", "--out", "run"]
    refused(call, tmp_path, [*arguments, "--holdout", holdout], *words)


def test_a_folder_of_other_things_is_not_overwritten(call, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    arguments = ["dynamics", "fit", "states.csv", "--graph", "edges.csv", "--out", "thesis"]
    refused(call, tmp_path, arguments, "thesis")
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"


def test_a_folder_that_is_no_run_has_no_report(call, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(call, tmp_path, ["report", "empty"], "empty")
    refused(call, tmp_path, ["report", "absent"], "absent")
