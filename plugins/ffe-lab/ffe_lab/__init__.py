"""Backtests that tell the truth: the pipeline of ffe over history, and the statistics to doubt the outcome with."""
