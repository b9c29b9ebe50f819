"""The control plane: takes heartbeats and usage records in, and answers for what is durable.

How the parts meet (each is a file, and none but ``program`` knows them all)::

    uvicorn --> app --> operations (one table: routes and OpenAPI) --> registering, heartbeats,
                                                                       records, agents
                        |                                              |
                  authentication, limits, body                    IngestStore (store)

A request is refused as early as it can be: by its key, then by its rate, then by its declared size,
and only then is its body read. What a handler raises becomes an answer in one place, ``problems``.
"""
