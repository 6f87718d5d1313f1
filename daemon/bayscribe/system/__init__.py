"""What the appliance asks of the operating system.

Service notification and watchdog, clock synchronisation, identity of this boot, the
state file for indicators, and resource figures. Nothing here knows audio.
"""
