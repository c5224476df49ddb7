"""From many opinions to one verdict: weights, tiers, quorum. Exact arithmetic, so that anyone can recompute it."""
