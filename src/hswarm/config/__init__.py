"""A recipe: defaults, a preset, a TOML file and `--set`, in that order.

May import the rooms that own settings, from core to system.
"""
