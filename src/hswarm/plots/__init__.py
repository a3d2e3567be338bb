"""Everything that draws: graphs, charts, bars, heat maps.

May import errors, io and registry; knows only numbers and names.
"""
