"""The words ffe thinks in: frozen dataclasses and enums, standard library only."""
