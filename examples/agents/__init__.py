"""Sample agents: small real services to run in the demo and to copy from.

Each is one file that answers ``POST /ask`` and says at ``GET /agentspec/usage`` what it used. Where
the models are and who pays, the clients read from the environment, as they always do; so does the
reporter with ``AGENTSPEC_CONTROL_PLANE_URL`` and ``AGENTSPEC_API_KEY``, without which it pushes
nowhere.
"""
