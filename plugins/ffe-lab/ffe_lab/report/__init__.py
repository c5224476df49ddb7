"""Results for people: one page that needs nothing else, and a screenful for the terminal."""
