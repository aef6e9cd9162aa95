"""The viewer: hearts on a screen, morphed while one watches."""
