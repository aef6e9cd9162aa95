"""Where disease is made: hearts as curves of latent codes, what a group's curves have in common, draws from it."""
