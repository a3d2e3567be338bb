"""Recipes out of the arguments of the authors' search script.

May import config and what lies below it.
"""
