"""The commands: composition roots, the only readers of the environment and the command line."""
