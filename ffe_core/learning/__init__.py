"""What came of decisions, and what is learnt from it."""
