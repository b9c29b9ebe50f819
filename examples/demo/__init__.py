"""The demo: an API server, the operator, the control plane, sample agents with and without sidecars
and the provider that they call, and nothing left afterwards.

``__main__`` tells the story; the other modules have one part of it each.
"""
