"""What an object of each kind must do, as test classes: an author subclasses one and names a factory."""
