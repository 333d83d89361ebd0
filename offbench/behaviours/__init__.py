"""Policies that make data: scripted controllers, ladders of trained policies, acting with policies that files carry."""
