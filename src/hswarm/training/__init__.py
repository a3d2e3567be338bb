"""Training experts: examples, the training loop, scores before and after.

May import engines, scorers, experts, tasks, prompts and what lies below.
"""
