"""The sidecar: meters every model call of a pod from outside the agent's process.

A proxy forwards the calls unchanged and tells of each when it begins and when it is over. What it
tells goes, with what the pod's SDKs tell, into the pod's one ledger: a file first, then everything
that is shown, sent or acknowledged. The parts know each other by the values and protocols of
``calls`` alone, so the proxy, the ledger and the pages around them can be read one at a time.
"""
