"""The shapes on the wire: encoded with the standard library, decoded by strict models."""
