"""Short lessons: the plain, the residual and the differential version of one small problem."""
