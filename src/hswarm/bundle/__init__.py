"""A system as a folder to pass on: export, model card, manifest, pruning.

May import everything below: runs, session, system, experts.
"""
