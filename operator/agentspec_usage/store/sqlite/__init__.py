"""The usage store on SQLite: one file, one writer."""
