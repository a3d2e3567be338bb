"""Growth: systems grow from single experts, one move at a time, raced on few questions first.

terms (what is searched), moves (its neighbours), scoreboard (what each scored, sub-terms for free), races (who goes
on), lead (who is ahead, on how many questions), model and proposals (what to try next), growth (the loop).
docs/search.md explains it on one page.
"""
