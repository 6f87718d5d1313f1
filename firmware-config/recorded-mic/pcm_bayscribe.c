/* ALSA capture plug-in "bayscribe": a microphone array that hears a recording.
 *
 *     pcm.bay { type bayscribe  dir "/run/user/1000/bayscribe-recorded-mic/bay"
 *               channels 6  rate 16000 }
 *
 * `dir` holds `control` (control.h) and `recording.raw` (interleaved s16, little-endian).
 * To a program it behaves like hardware: paced by a clock that nothing stops, a ring of
 * the size that was asked for, -EPIPE and lost frames for a late reader, -ENODEV when it
 * is unplugged. What it plays and which faults it shows is said in the control block. */
#define _GNU_SOURCE
#include "control.h"

#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_CHANNELS 32
#define CLIP_GAIN 256 /* 48 dB */
#define SECOND 1000000000LL
#define FAR_BEFORE (-((int64_t)1 << 60))

_Static_assert(sizeof(snd_pcm_uframes_t) == 8, "pointers would wrap after a day and a half");

struct microphone {
    snd_pcm_ioplug_t io;
    char *directory;
    struct control *control;
    int timer;
    const int16_t *recording;
    size_t recording_bytes;
    uint64_t generation; /* that `recording` belongs to */

    int running;      /* the stream's clock runs */
    int64_t start_ns; /* the stream's clock: at start_ns its ... */
    uint64_t start;   /* ... frame `start` was due */
    uint64_t captured, taken;
    int laid;       /* the recording lies on this stream */
    int64_t offset; /* frame of the recording = frame of the stream + offset */
    int64_t deaf_until_ns;
    int overran, short_next, short_stop;
    int16_t *ring;

    uint8_t source[MAX_CHANNELS], dead[MAX_CHANNELS], stuck[MAX_CHANNELS];
    uint8_t inverted[MAX_CHANNELS], clipped[MAX_CHANNELS];
    int16_t offset_dc[MAX_CHANNELS], held[MAX_CHANNELS];
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* Frames that the array's own clock counts in a time. */
static uint64_t frames_in(const struct microphone *m, int64_t ns) {
    __int128 ticks = (__int128)(ns < 0 ? 0 : ns) * m->io.rate;
    return (uint64_t)(ticks * (1000000 + m->control->drift_ppm) / 1000000 / SECOND);
}

static uint64_t recording_now(const struct microphone *m, int64_t now) {
    return m->control->clock_frame + frames_in(m, now - m->control->clock_ns);
}

static int has_recording(const struct microphone *m) {
    return m->recording && m->control->finished != m->generation;
}

static void drop_recording(struct microphone *m) {
    if (m->recording) munmap((void *)m->recording, m->recording_bytes);
    m->recording = NULL;
}

static void map_recording(struct microphone *m) {
    char path[4096];
    snprintf(path, sizeof path, "%s/recording.raw", m->directory);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    size_t bytes = m->control->frames * m->io.channels * sizeof(int16_t);
    struct stat found;
    if (bytes && !fstat(file, &found) && (size_t)found.st_size >= bytes) {
        void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, 0);
        if (map != MAP_FAILED) {
            m->recording = map;
            m->recording_bytes = bytes;
        }
    }
    close(file);
}

/* Map the recording that the player has armed since we last looked. */
static void take_recording(struct microphone *m) {
    uint64_t generation = __atomic_load_n(&m->control->generation, __ATOMIC_ACQUIRE);
    if (generation == m->generation) return;
    drop_recording(m);
    m->generation = generation;
    m->laid = 0;
    map_recording(m);
    if (!m->recording) m->control->finished = generation; /* its player has gone */
}

static void repair(struct microphone *m, int channel) {
    m->source[channel] = (uint8_t)channel;
    m->dead[channel] = m->stuck[channel] = m->inverted[channel] = m->clipped[channel] = 0;
    m->offset_dc[channel] = 0;
}

static void set_drift(struct microphone *m, int ppm, int64_t now) {
    if (m->control->clock_ns) {
        m->control->clock_frame = recording_now(m, now);
        m->control->clock_ns = now;
    }
    m->start += frames_in(m, now - m->start_ns);
    m->start_ns = now;
    m->control->drift_ppm = ppm;
}

static void apply(struct microphone *m, struct event *e, int64_t now) {
    int a = e->a, b = e->b, channels = (int)m->io.channels;
    e->done = 1;
    int first = e->operation == OP_REPAIR && a < 0 ? 0 : a;
    int on_channel = e->operation <= OP_REPAIR;
    if (on_channel && (first < 0 || first >= channels)) return;
    switch (e->operation) {
    case OP_DEAD: m->dead[a] = 1; break;
    case OP_STUCK: m->stuck[a] = 1; break;
    case OP_INVERT: m->inverted[a] = 1; break;
    case OP_CLIP: m->clipped[a] = 1; break;
    case OP_DC: m->offset_dc[a] = (int16_t)b; break;
    case OP_SWAP:
        if (b >= 0 && b < channels) {
            uint8_t was = m->source[a];
            m->source[a] = m->source[b];
            m->source[b] = was;
        }
        break;
    case OP_REPAIR:
        for (int c = first; c < (a < 0 ? channels : a + 1); c++) repair(m, c);
        break;
    case OP_DRIFT: set_drift(m, a, now); break;
    case OP_OVERRUN: m->deaf_until_ns = now + (int64_t)a * 1000000; break;
    case OP_SHORT_READ: m->short_next = 1; break;
    case OP_UNPLUG:
        m->control->replug_ns = a ? now + (int64_t)a * 1000000 : 0;
        m->control->unplugged = 1;
        break;
    default: break;
    }
}

static uint32_t event_count(const struct microphone *m) {
    uint32_t n = __atomic_load_n(&m->control->event_count, __ATOMIC_ACQUIRE);
    return n < CONTROL_EVENTS ? n : CONTROL_EVENTS;
}

/* Apply what is due at a frame of the recording; return where the next one is due. */
static uint64_t apply_events(struct microphone *m, uint64_t frame, int64_t now) {
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < event_count(m); i++) {
        struct event *e = &m->control->events[i];
        if (e->done) continue;
        if (e->at <= frame) apply(m, e, now);
        else if (e->at < next) next = e->at;
    }
    return next;
}

static int16_t heard(struct microphone *m, const int16_t *frame, unsigned channel) {
    int32_t x = frame ? frame[m->source[channel]] : 0;
    if (m->inverted[channel]) x = -x;
    if (m->clipped[channel]) x *= CLIP_GAIN;
    x += m->offset_dc[channel];
    if (m->stuck[channel]) x = m->held[channel];
    if (m->dead[channel]) x = 0;
    x = x > 32767 ? 32767 : x < -32768 ? -32768 : x;
    return m->held[channel] = (int16_t)x;
}

/* Whether a frame of the stream is one of the recording; `at` becomes which. */
static int in_recording(const struct microphone *m, uint64_t captured, int64_t *at) {
    *at = (int64_t)captured + (m->laid ? m->offset : FAR_BEFORE);
    return has_recording(m) && *at >= 0 && *at < (int64_t)m->control->frames;
}

static void capture_frames(struct microphone *m, uint64_t until) {
    unsigned channels = m->io.channels;
    for (; m->captured < until; m->captured++) {
        int64_t at;
        int inside = in_recording(m, m->captured, &at);
        const int16_t *frame = inside ? m->recording + (size_t)at * channels : NULL;
        int16_t *to = m->ring + (m->captured % m->io.buffer_size) * channels;
        for (unsigned c = 0; c < channels; c++) to[c] = heard(m, frame, c);
    }
}

static int interrupted(const struct microphone *m) {
    return m->deaf_until_ns || m->control->unplugged;
}

/* Capture up to frame `due`, applying each event exactly where it is due. */
static void advance(struct microphone *m, uint64_t due, int64_t now) {
    while (m->captured < due && !interrupted(m)) {
        int64_t at;
        uint64_t stop = due;
        if (in_recording(m, m->captured, &at)) {
            uint64_t event = apply_events(m, (uint64_t)at, now);
            if (interrupted(m)) return;
            if (event - (uint64_t)at < stop - m->captured)
                stop = m->captured + (event - (uint64_t)at);
        }
        capture_frames(m, stop);
    }
}

/* The clock starts to run at the frame that is next. */
static void run_clock(struct microphone *m, int64_t now) {
    m->running = 1;
    m->start_ns = now;
    m->start = m->captured;
}

/* Lay the recording onto the stream: what its own clock says is heard now comes next. */
static void lay_recording(struct microphone *m, int64_t now) {
    struct control *control = m->control;
    if (!control->clock_ns) {
        control->clock_frame = 0;
        control->clock_ns = now;
    }
    uint64_t at = recording_now(m, now), dealt = control->delivered + control->lost;
    uint64_t reached = at < control->frames ? at : control->frames;
    if (reached > dealt) control->lost += reached - dealt;
    if (at >= control->frames) control->finished = m->generation;
    m->offset = (int64_t)at - (int64_t)m->captured;
    m->laid = 1;
    run_clock(m, now);
}

static uint32_t idle_now(const struct microphone *m) {
    if (has_recording(m)) return IDLE_SILENCE;
    int played = m->generation && m->control->finished == m->generation;
    return played ? m->control->at_end : m->control->idle;
}

static int is_unplugged(struct control *control) {
    if (control->unplugged && control->replug_ns && now_ns() >= control->replug_ns) {
        control->replug_ns = 0;
        control->unplugged = 0;
    }
    return control->unplugged != 0;
}

/* The frame that the clock has reached; it stands still behind the recording's end. */
static uint64_t due_now(const struct microphone *m, int64_t now) {
    uint64_t due = m->start + frames_in(m, now - m->start_ns);
    if (m->laid && has_recording(m) && m->control->at_end != IDLE_SILENCE) {
        uint64_t end = (uint64_t)((int64_t)m->control->frames - m->offset);
        if (due > end) due = end;
    }
    return due;
}

static snd_pcm_sframes_t overrun(struct microphone *m) {
    if (!m->overran) m->control->overruns++;
    m->overran = 1;
    return -EPIPE;
}

static snd_pcm_sframes_t mic_pointer(snd_pcm_ioplug_t *io) {
    struct microphone *m = io->private_data;
    int64_t now = now_ns();
    take_recording(m);
    apply_events(m, 0, now);
    if (is_unplugged(m->control)) {
        snd_pcm_ioplug_set_state(io, SND_PCM_STATE_DISCONNECTED);
        return (snd_pcm_sframes_t)m->captured;
    }
    if (m->overran) return overrun(m);
    if (m->deaf_until_ns)
        return now < m->deaf_until_ns ? (snd_pcm_sframes_t)m->captured : overrun(m);
    uint32_t idle = idle_now(m);
    if (idle != IDLE_SILENCE) {
        m->running = 0;
        m->control->unplugged = idle == IDLE_UNPLUG;
        return (snd_pcm_sframes_t)m->captured;
    }
    if (!m->running) run_clock(m, now);
    uint64_t due = due_now(m, now);
    if (due >= m->taken + io->buffer_size) return overrun(m);
    advance(m, due, now);
    if (has_recording(m) && !m->laid && !interrupted(m)) lay_recording(m, now);
    return (snd_pcm_sframes_t)m->captured;
}

static int mic_prepare(snd_pcm_ioplug_t *io) {
    struct microphone *m = io->private_data;
    if (m->control->unplugged) return -ENODEV;
    free(m->ring);
    m->ring = calloc(io->buffer_size * io->channels, sizeof *m->ring);
    m->captured = m->taken = 0;
    m->running = m->laid = m->overran = 0;
    m->deaf_until_ns = 0;
    return m->ring ? 0 : -ENOMEM;
}

static int mic_start(snd_pcm_ioplug_t *io) {
    struct microphone *m = io->private_data;
    long ns = (long)(SECOND * (int64_t)io->period_size / io->rate);
    struct timespec period = {ns / SECOND, ns % SECOND};
    struct itimerspec every = {period, period};
    mic_pointer(io); /* the clock first, so that a period is whole when the timer ticks */
    return timerfd_settime(m->timer, 0, &every, NULL) ? -errno : 0;
}

static int mic_stop(snd_pcm_ioplug_t *io) {
    struct microphone *m = io->private_data;
    struct itimerspec never = {{0, 0}, {0, 0}};
    m->running = m->laid = 0;
    return timerfd_settime(m->timer, 0, &never, NULL) ? -errno : 0;
}

/* Tell the player how much of its recording has been handed over. */
static void account(struct microphone *m, uint64_t first, uint64_t count) {
    if (!m->laid || !has_recording(m)) return;
    int64_t from = (int64_t)first + m->offset, to = from + (int64_t)count;
    int64_t end = (int64_t)m->control->frames;
    if (from < 0) from = 0;
    if (from < to && from < end) m->control->delivered += (uint64_t)((to < end ? to : end) - from);
    if (to >= end) m->control->finished = m->generation;
}

/* Nothing more to read: be ready again with the timer's next tick. */
static void rest(struct microphone *m) {
    uint64_t ticks;
    while (read(m->timer, &ticks, sizeof ticks) < 0 && errno == EINTR) continue;
}

static snd_pcm_sframes_t mic_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
                                      snd_pcm_uframes_t offset, snd_pcm_uframes_t size) {
    struct microphone *m = io->private_data;
    size_t frame_bytes = io->channels * sizeof(int16_t);
    char *to = (char *)areas[0].addr + areas[0].first / 8 + offset * frame_bytes;
    if (m->short_stop) {
        m->short_stop = 0;
        return -EAGAIN;
    }
    if (m->short_next && size > 1) {
        m->short_next = 0;
        m->short_stop = 1;
        m->control->short_reads++;
        size /= 2;
    }
    for (snd_pcm_uframes_t done = 0; done < size;) {
        size_t at = (m->taken + done) % io->buffer_size, n = size - done;
        if (n > io->buffer_size - at) n = io->buffer_size - at;
        memcpy(to + done * frame_bytes, m->ring + at * io->channels, n * frame_bytes);
        done += n;
    }
    account(m, m->taken, size);
    m->taken += size;
    if (m->captured - m->taken < io->period_size) rest(m);
    return (snd_pcm_sframes_t)size;
}

static int mic_revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned count,
                       unsigned short *revents) {
    struct microphone *m = io->private_data;
    *revents = 0;
    if (!count || !(fds[0].revents & POLLIN)) return 0;
    snd_pcm_sframes_t available = snd_pcm_avail_update(io->pcm);
    if (available < 0 || io->state == SND_PCM_STATE_DISCONNECTED) {
        *revents = POLLIN | POLLERR;
    } else if (available >= (snd_pcm_sframes_t)io->period_size) {
        *revents = POLLIN; /* the timer stays ready until the reader has caught up */
    } else {
        rest(m);
    }
    return 0;
}

static void discard(struct microphone *m) {
    if (!m) return;
    drop_recording(m);
    if (m->control) munmap(m->control, CONTROL_BYTES);
    if (m->timer >= 0) close(m->timer);
    free(m->ring);
    free(m->directory);
    free(m);
}

static int mic_close(snd_pcm_ioplug_t *io) {
    struct microphone *m = io->private_data;
    m->control->reader = 0;
    discard(m);
    return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
    .start = mic_start,
    .stop = mic_stop,
    .pointer = mic_pointer,
    .transfer = mic_transfer,
    .prepare = mic_prepare,
    .poll_revents = mic_revents,
    .close = mic_close,
};

/* Map the control block and claim the microphone, as only one program may have it. */
static int claim(struct microphone *m, unsigned channels, unsigned rate) {
    char path[4096];
    snprintf(path, sizeof path, "%s/control", m->directory);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return errno == ENOENT ? -ENODEV : -errno;
    struct stat found;
    int whole = !fstat(file, &found) && found.st_size >= CONTROL_BYTES;
    void *map = whole ? mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                      : MAP_FAILED;
    close(file);
    if (map == MAP_FAILED) return -ENODEV;
    m->control = map;
    if (m->control->magic != CONTROL_MAGIC || m->control->channels != channels ||
        m->control->rate != rate) {
        SNDERR("%s is for %u channels at %u Hz, the PCM for %u at %u", path,
               m->control->channels, m->control->rate, channels, rate);
        return -EINVAL;
    }
    if (is_unplugged(m->control)) return -ENODEV;
    int64_t reader = m->control->reader;
    if (reader && (kill((pid_t)reader, 0) == 0 || errno == EPERM)) return -EBUSY;
    m->control->reader = getpid();
    m->control->opens++;
    return 0;
}

static int constrain(snd_pcm_ioplug_t *io, unsigned channels, unsigned rate) {
    static const unsigned access[] = {SND_PCM_ACCESS_RW_INTERLEAVED};
    static const unsigned format[] = {SND_PCM_FORMAT_S16_LE};
    unsigned frame_bytes = channels * sizeof(int16_t);
    int e;
    if ((e = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 1, access)) < 0 ||
        (e = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, format)) < 0 ||
        (e = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_CHANNELS, 1, &channels)) < 0 ||
        (e = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_RATE, 1, &rate)) < 0 ||
        (e = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES,
                                             16 * frame_bytes, 8192 * frame_bytes)) < 0)
        return e;
    return snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 128);
}

/* Make the PCM around m, which is its own from then on: *owned becomes NULL. */
static int create(struct microphone **owned, snd_pcm_t **pcmp, const char *name,
                  snd_pcm_stream_t stream, int mode, unsigned channels, unsigned rate) {
    struct microphone *m = *owned;
    m->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (m->timer < 0) return -errno;
    for (int c = 0; c < MAX_CHANNELS; c++) repair(m, c);
    int e = claim(m, channels, rate);
    if (e < 0) return e;
    m->io.version = SND_PCM_IOPLUG_VERSION;
    m->io.name = "Recorded microphone array";
    m->io.callback = &callbacks;
    m->io.private_data = m;
    m->io.poll_fd = m->timer;
    m->io.poll_events = POLLIN;
    m->io.flags = SND_PCM_IOPLUG_FLAG_BOUNDARY_WA | SND_PCM_IOPLUG_FLAG_MONOTONIC;
    if ((e = snd_pcm_ioplug_create(&m->io, name, stream, mode)) < 0) {
        m->control->reader = 0;
        return e;
    }
    *owned = NULL;
    if ((e = constrain(&m->io, channels, rate)) < 0) {
        snd_pcm_ioplug_delete(&m->io); /* which calls mic_close */
        return e;
    }
    *pcmp = m->io.pcm;
    return 0;
}

SND_PCM_PLUGIN_DEFINE_FUNC(bayscribe) {
    snd_config_iterator_t i, next;
    const char *directory = NULL;
    long channels = 0, rate = 16000;
    (void)root;
    snd_config_for_each(i, next, conf) {
        snd_config_t *n = snd_config_iterator_entry(i);
        const char *id;
        int e = 0;
        if (snd_config_get_id(n, &id) < 0) continue;
        if (!strcmp(id, "comment") || !strcmp(id, "type") || !strcmp(id, "hint")) continue;
        if (!strcmp(id, "dir")) e = snd_config_get_string(n, &directory);
        else if (!strcmp(id, "channels")) e = snd_config_get_integer(n, &channels);
        else if (!strcmp(id, "rate")) e = snd_config_get_integer(n, &rate);
        else e = -EINVAL;
        if (e < 0) {
            SNDERR("pcm.%s: bad field %s", name, id);
            return e;
        }
    }
    if (stream != SND_PCM_STREAM_CAPTURE || !directory || channels < 1 ||
        channels > MAX_CHANNELS || rate < 1) {
        SNDERR("pcm.%s captures, and needs dir and channels (1 to %d)", name, MAX_CHANNELS);
        return -EINVAL;
    }
    struct microphone *m = calloc(1, sizeof *m);
    if (!m) return -ENOMEM;
    m->timer = -1;
    m->directory = strdup(directory);
    int e = -ENOMEM;
    if (m->directory)
        e = create(&m, pcmp, name, stream, mode, (unsigned)channels, (unsigned)rate);
    discard(m);
    return e;
}
SND_PCM_PLUGIN_SYMBOL(bayscribe);
