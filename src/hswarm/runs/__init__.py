"""A run's directory, and the typed records in it.

May import methods, session, system and what lies below.
"""
