"""Scans without labels get them: find the heart, label it, clean it, find ED and ES, say how sure that is."""
