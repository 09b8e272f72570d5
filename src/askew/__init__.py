"""Askew: anomaly detection that asks."""
