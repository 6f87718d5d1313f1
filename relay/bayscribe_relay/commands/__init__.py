"""The commands of ``bayscribe-relay``, one module each.

A module has ``configure(parser)``, which adds its arguments, and ``run(options)``, which
returns the exit status. It is imported only when its command is asked for. What may not
live here: anything but arguments, output and exit status.
"""

COMMANDS: dict[str, str] = {
    "serve": "take in the streams of the appliances",
    "streams": "list and verify what has arrived",
    "export": "write one encounter's audio and turns as files (development)",
    "submit": "put one attested note through the write-back",
    "letters": "list, show and replay notes that are not in the chart",
    "custody": "write the chain-of-custody package of one encounter",
    "feed": "what the EMR sent: unmapped codes, parked messages, replay",
    "trace": "run the tracer over recorded patient timelines",
    "fleet": "every bay at a glance, and signed commands to units",
    "retention": "delete audio and transcripts by policy, with proof; hold what must stay",
    "users": "the local password file of the pages",
    "provision": "enrol new units and hand out updates",
    "pki": "make certificates and keys for a site without a PKI of its own",
}
"""Name and one line about it; the module has the same name."""
