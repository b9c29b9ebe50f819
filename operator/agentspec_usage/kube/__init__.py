"""The API server as our programs use it: a session, the few requests, a Lease, and one exception.

The operator and the control plane both write to the cluster and know nothing of each other; what
they must do alike is here: where the credentials come from, what a refusal means, under which
precondition a status is written, and which replica of several works.
"""
