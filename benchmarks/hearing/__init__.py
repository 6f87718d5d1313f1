"""How well the appliance hears: scorers, and the command that applies them.

What lives here: the scores of diarization, attribution, direction and audio
against a scene's truth, and the command that runs ``bayscribe process`` over
scenes and prints them. What may not: anything that the product imports, and
any threshold of the product, which a scorer must not know.
"""


def main() -> int:
    """``./run bench hearing``."""
    # The peers' environment imports this package too, and has no product in it.
    from benchmarks.hearing.run import main as run

    return run()
