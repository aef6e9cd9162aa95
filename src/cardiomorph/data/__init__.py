"""From disk to subjects to slices."""
