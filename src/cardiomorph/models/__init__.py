"""The networks: tensors in, tensors out. They know nothing of files, patients or training."""
