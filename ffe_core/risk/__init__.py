"""From a verdict to a sized proposal, and the rules that may shrink or veto it."""
