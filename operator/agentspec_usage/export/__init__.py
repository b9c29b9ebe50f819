"""Files that leave the project, for spreadsheets, warehouses and FinOps tools: bytes of rows.

Rows come from ``pricing``, a part at a time, so that a month of a large cluster is never in memory
at once. The control plane and the command line write the same files.
"""
