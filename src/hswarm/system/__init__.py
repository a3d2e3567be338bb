"""A system of experts and how its answers come about: System, Execution, executor, cache, scoring.

May import engines, scorers, experts and what lies below.
"""
