"""Evals: data sets, metrics, and the runner that scores sessions against ground truth."""
