"""GitHub Actions, as far as they can be run here."""
