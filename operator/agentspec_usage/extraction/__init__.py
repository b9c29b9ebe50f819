"""From the bytes of a provider's response to canonical counts. Pure: no sockets, no clock.

Three layers, each of which can be read alone:

* ``framing``: bytes to documents (JSON, server-sent events, newline-delimited JSON, AWS event
  streams, WebSocket messages), bounded;
* ``dialects``: documents to a ``Reading`` of one call, whichever way the API streams;
* ``usage``: a usage object to counts that keep their laws.

``routing`` holds the table that says which API a request speaks, keyed by provider and path: the
same JSON means different things from different providers. ``ExchangeReader`` and ``SocketReader``
put the layers together for one HTTP exchange and for one WebSocket.
"""
