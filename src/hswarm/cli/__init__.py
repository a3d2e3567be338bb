"""The command `hswarm`: one file a group of subcommands, imported only when asked for.

May import every room.
"""
