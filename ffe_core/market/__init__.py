"""Candles: where they come from, what they are worth, and when they are of use."""
