"""A found system behind an OpenAI-compatible API, and a page.

May import bundle, runs, system and what lies below; knows no search.
"""
