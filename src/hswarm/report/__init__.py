"""What there is to say about a run: summary, tables, page, trackers.

May import analysis, runs, session and what lies below.
"""
