"""From an atlas and a request to labelled diseased hearts on disk."""
