"""Short lessons: the same small problem, plain, residual and differential."""
