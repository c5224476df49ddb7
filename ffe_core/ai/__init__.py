"""What providers are told, and how they are asked."""
