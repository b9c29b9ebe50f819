"""Price books: the bundled catalogue, and a file or ConfigMap before it, as unit prices."""
