"""The two kinds of failure that a user meets.

Each message is one sentence that says what was wrong, where, and what would be right, such as
``edges.csv, row 17: target 'B9' is not a node; 412 nodes are known``.
"""

__all__ = ["ComputationError", "GraphtideError", "InputError"]


class GraphtideError(Exception):
    """Base of all errors that graphtide raises on purpose."""

    exit_code = 1


class InputError(GraphtideError, ValueError):
    """The input or the call is wrong; the command line ends with exit code 2."""

    exit_code = 2


class ComputationError(GraphtideError, RuntimeError):
    """The input was well formed but the work failed; the command line ends with exit code 1."""
