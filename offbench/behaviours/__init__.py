"""Behaviour policies: trained online in our simulators, kept as ladders from which the standard datasets are made."""
