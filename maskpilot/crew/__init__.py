"""What evals and labeling share when many sessions run at a time."""
