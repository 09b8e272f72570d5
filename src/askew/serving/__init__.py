"""Rows in, scores and reasons out, over HTTP: what ``askew serve`` runs."""
