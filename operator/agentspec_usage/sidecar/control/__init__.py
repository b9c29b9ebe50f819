"""The control port: what the pod used, the audit ring, frames and events of the pod, health.

Who asks from outside the pod (the operator, Prometheus, a person) can read and nothing else.
"""
