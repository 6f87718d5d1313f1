"""From sealed audio to attributed words.

What lives here: the recogniser's port and its process, the gate that keeps noise from becoming
text, the joining of words to speaker turns, and the worker that follows what is stored. What
may not: opening sockets, deciding which stay a recording belongs to, or judging what was said.
"""
