"""Objects in other processes, on this machine or a Ray cluster; knows nothing of what they do.

May import errors, consent, io and registry.
"""
