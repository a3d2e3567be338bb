"""Starting points: commented recipes for `hswarm new`, and the small world that the wheel contains.

May import the rooms below config, and config itself.
"""
