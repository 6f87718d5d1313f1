"""Just-in-time prompts: when they are given, how, and what became of them.

What lives here: the live tracer of each open stay, the policy of who is interrupted when,
the words that answer a prompt, speech for the bay, and the service that joins them. What
may not: what a gap is (:mod:`bayscribe_relay.tracer`), pages, and sound output (the
appliance plays and says what came of it).
"""
