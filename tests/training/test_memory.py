"""Memory that steps free is kept for the next step."""

import platform
import resource

import pytest
import torch

from graphtide.training.memory import keep_freed_memory

PAGES = 2048


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_equal_steps_take_no_new_pages():
    assert keep_freed_memory()

    def step() -> None:
        parts = [torch.ones(PAGES * 1024) for _ in range(8)]  # 8 MB each, in pages of 4 KiB
        assert all(float(part[-1]) == 1.0 for part in parts)

    for _ in range(4):  # until the heap has found its shape
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert taken < PAGES  # else 5 * 8 * 2048
