"""How each API says its usage: in whole responses and in the events of streams."""
