"""Getting frames to whoever makes them durable: when to send, what an answer means, what a file
keeps.

``Sender`` decides and does no I/O; the shells (``threaded``, ``tasks``) wait, post and hand in the
answers. Of third parties only ``http`` needs one, and imports it when it starts.
"""
