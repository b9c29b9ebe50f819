"""The pod's ledger in its file: it survives a kill at any byte, one instance across restarts.

How the parts meet (each is a file)::

    LedgerKeeper (keeper)  -- writes an entry, then applies it; rewrites the file when it grew
        |         \\
    LedgerFile    Account (account)  -- entries folded to what is shown and sent; replays them too
      (file)          |
    entries, values, state  -- to bytes and back
"""
