"""What somebody starts from: commented recipes for `hswarm new`, and the small world that the wheel carries.

May import the rooms below config, and config itself.
"""
