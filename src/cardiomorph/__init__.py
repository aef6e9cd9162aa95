"""Cardiomorph."""
