"""The lab's commands: each reads its options, runs one experiment and prints what came of it."""
