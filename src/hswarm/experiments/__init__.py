"""Whole searches and many of them: search, compare, sweep, forecast, jobs side by side.

May import report, methods, runs, session and what lies below.
"""
