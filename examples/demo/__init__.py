"""The demo: an API server, the operator and sample agents, and nothing left afterwards.

``__main__`` tells the story; the other modules have one part of it each.
"""
