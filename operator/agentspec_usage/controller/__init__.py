"""The operator: watch AgentObservations, scrape their pods, patch ``status.usage``.

How the parts meet (each is a file, and none but ``program`` knows them all)::

    kopf --> pump --> register of records <-- sweep (metadata LIST, ghosts out, missed objects in) |
                          pod watch ------------+--> scheduler --> reconciler --> scraper (HTTP GET
                          to pods) |                      | +--> folder            v (fresh reads)
                          writer (budget, coalescing, precondition) --> API server

The record of an object is the only shared state. It changes in synchronous steps on one event loop,
so no step sees another one half done, and what may not be interleaved has no ``await`` inside.
"""
