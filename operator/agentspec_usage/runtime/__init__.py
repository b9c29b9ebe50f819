"""The only place that reads the clock or draws chance, so that everything above takes both as
arguments.
"""
