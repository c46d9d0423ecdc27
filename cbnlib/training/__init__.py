"""Training: minimise the regularised loss step by step, for one network or an ensemble."""
