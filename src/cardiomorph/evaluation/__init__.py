"""Numbers only: plain functions of arrays, for researchers to read and change."""
