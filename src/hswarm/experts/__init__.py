"""What a pool holds: adapters, checkpoints, remote models, tools; bases, blends, compatibility.

May import prompts, tasks, core and what lies below; knows no engine.
"""
