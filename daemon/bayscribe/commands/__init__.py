"""The subcommands of ``bayscribe``, one module each: ``configure(parser)`` and ``run(arguments)``.

A command reads its arguments, calls the parts of the product and prints; what it does
beyond that belongs into a part.
"""
