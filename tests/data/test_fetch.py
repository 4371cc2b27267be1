"""Sets of data: taken from a folder, checked, and clear words without a network."""

import hashlib
import json

import pytest

from graphtide.cli.main import run
from graphtide.data import fetch
from graphtide.data.fetch import DATA_SETS, DataFile, DataSet, cached, get_data
from graphtide.errors import InputError
from graphtide.files import read_bytes, write_text

KNOWN = "smiles\nCCO\n"


@pytest.fixture
def toy(monkeypatch):
    """A set of two files, one with a known checksum; its addresses lead nowhere."""
    digest = hashlib.sha256(KNOWN.encode()).hexdigest()
    files = (
        DataFile("a.csv", "http://127.0.0.1:9/a.csv", digest),
        DataFile("b.csv", "http://127.0.0.1:9/b.csv"),
    )
    monkeypatch.setitem(fetch.DATA_SETS, "toy", DataSet("toy", "two files", "here", files))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_files_come_from_a_folder_and_are_found_again(tmp_path, toy, ending):
    write_text(tmp_path / "from" / f"a.csv{ending}", KNOWN)
    write_text(tmp_path / "from" / f"b.csv{ending}", "x\n1\n")
    first = get_data("toy", source=tmp_path / "from", to=tmp_path / "to")
    assert [file.known for file in first] == [True, False]
    assert read_bytes(first[0].path) == KNOWN.encode()
    # All is there and whole: nothing is fetched (there would be no network).
    again = get_data("toy", to=tmp_path / "to")
    assert [(file.path, file.fetched) for file in again] == [(f.path, False) for f in first]
    assert cached("toy", to=tmp_path / "to") == [file.path for file in first]


def test_another_file_than_the_known_or_recorded_one_is_refused(tmp_path, toy):
    write_text(tmp_path / "from/a.csv", "smiles\nCCC\n")
    write_text(tmp_path / "from/b.csv", "x\n1\n")
    with pytest.raises(InputError, match=r"a\.csv is not the a\.csv that is known: its SHA-256"):
        get_data("toy", source=tmp_path / "from", to=tmp_path / "to")
    assert not (tmp_path / "to").exists()
    write_text(tmp_path / "from/a.csv", KNOWN)
    get_data("toy", source=tmp_path / "from", to=tmp_path / "to")
    write_text(tmp_path / "from/b.csv", "x\n2\n")
    with pytest.raises(InputError, match="recorded when the cache first took it"):
        get_data("toy", source=tmp_path / "from", to=tmp_path / "to")


def test_a_damaged_copy_is_not_taken_for_whole(tmp_path, toy):
    write_text(tmp_path / "from/a.csv", KNOWN)
    write_text(tmp_path / "from/b.csv", "x\n1\n")
    first = get_data("toy", source=tmp_path / "from", to=tmp_path / "to")
    first[0].path.write_bytes(first[0].path.read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot be fetched"):
        get_data("toy", to=tmp_path / "to")


def test_without_a_network_one_sentence_says_what_to_do(tmp_path, toy, capsys):
    with pytest.raises(SystemExit) as ended:
        run(["data", "get", "toy", "--to", str(tmp_path / "to")])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "give its folder with --from FOLDER" in message
    assert "Traceback" not in message
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "get", "zinc"], "'zinc' is no set of data; zinc250k, qm9"),
        (["data", "get", "qm9", "--from", "missing"], "no such folder"),
        (["data", "get", "qm9", "--from", "."], "holds no qm9.csv (nor qm9.csv.gz)"),
    ],
)
def test_bad_calls_end_with_one_sentence(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_the_list_names_every_set_with_its_addresses(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run(["data", "list", "--to", str(tmp_path), "--json"])
    assert ended.value.code == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == list(DATA_SETS)
    assert all(one["cached"] == [] for one in listed.values())
    assert all(len(one["addresses"]) == len(one["files"]) for one in listed.values())
