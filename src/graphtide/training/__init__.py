"""Training: one loop with early stopping, checkpoints that resume bit for bit, and devices."""
