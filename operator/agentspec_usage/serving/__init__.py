"""Answering HTTP: what every program of ours that serves does alike, on starlette.

Refusals are problem documents, and bodies are read within bounds. Which operation is where, and who
may call it, is each program's own.
"""
