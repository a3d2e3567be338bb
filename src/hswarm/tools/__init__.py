"""Tools: what stands at a node without weights, one file each. A tool takes a text and gives a text.

May import scorers (for their sandbox) and what lies below; knows no engine and no system.
"""
