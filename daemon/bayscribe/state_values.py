"""What the daemon says of itself: the values of its state file, read from its parts."""

from bayscribe.audio.capture import CaptureSource
from bayscribe.recorder import Recorder
from bayscribe.system.resources import cpu_seconds, peak_rss_mib
from bayscribe.system.statefile import Value
from bayscribe.uplink.link import LinkStatus
from bayscribe.vault.vault import Vault


def state_values(
    source: CaptureSource, recorder: Recorder, vault: Vault, link: LinkStatus, **told: Value
) -> dict[str, Value]:
    """The state file's values, by name; nothing of a patient is among them.

    Args:
        source: capture, with its counters.
        recorder: what has been handed to the buffer.
        vault: the buffer.
        link: how the uplink stands.
        told: what only the daemon knows.
    """
    counters, held = source.counters, vault.stats()
    problem = recorder.problem or source.problem
    return {
        **told,
        "plugged": source.is_plugged,
        "muted": source.is_muted,
        "real_time": counters.real_time,
        "problem": "" if problem is None else problem.code,
        "frames": counters.frames,
        "overruns": counters.overruns,
        "gaps": counters.gaps,
        "gap_frames": counters.gap_frames,
        "short_reads": counters.short_reads,
        "misaligned": counters.misaligned,
        "backlog_drops": counters.backlog_drops,
        "backlog_s": round(source.backlog_s, 3),
        "drift_ppm": source.drift_ppm,
        "link": str(link.state),
        "link_problem": link.last_problem,
        "records": held.newest,
        "acknowledged": held.acknowledged,
        "pending": held.pending,
        "pending_bytes": held.pending_bytes,
        "written_bytes": held.written_bytes,
        "written_per_day": held.written_per_day,
        "damaged_records": len(vault.damaged),
        "buffer_level": str(vault.level()),
        "held_in_memory": recorder.held,
        "lost_samples": recorder.lost_samples,
        "cpu_s": round(cpu_seconds(), 3),
        "peak_rss_mib": round(peak_rss_mib(), 1),
    }
