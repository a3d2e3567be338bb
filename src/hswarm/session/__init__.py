"""What a search works with: Session (an opened recipe), Evaluator, Budget, Archive, checkpoints.

May import config, system, engines and what lies below; knows no method.
"""
