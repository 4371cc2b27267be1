"""Work side by side: in order, each on one thread, and nothing of it stays behind."""

import threading

import pytest
import torch

from graphtide.training.threads import side_by_side

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_from_threads_of_one_thread_each(two_threads):
    seen = set()

    def work(k):
        seen.add((threading.current_thread().name, torch.get_num_threads()))
        return k * k

    with torch.no_grad():
        assert list(side_by_side(work, range(40), CPU)) == [k * k for k in range(40)]
    assert threading.current_thread().name not in {name for name, _ in seen}
    assert {count for _, count in seen} == {1}
    assert torch.get_num_threads() == 2


def test_gradients_are_as_the_caller_has_them(two_threads):
    for wanted in (True, False):
        with torch.set_grad_enabled(wanted):
            found = side_by_side(lambda _: torch.is_grad_enabled(), range(4), CPU)
            assert list(found) == [wanted] * 4


def test_an_error_ends_the_work_and_gives_the_threads_back(two_threads):
    def work(k):
        if k == 3:
            raise ValueError("three")
        return k

    with pytest.raises(ValueError, match="three"):
        list(side_by_side(work, range(100), CPU))
    assert torch.get_num_threads() == 2
