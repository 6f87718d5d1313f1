/* The control block of a recorded microphone: what its driver and its player share.
 *
 * A file of CONTROL_BYTES, mapped by both. All numbers little-endian, naturally aligned.
 * daemon/bayscribe/audio/recorded_mic.py states the same layout; a test compares the two. */
#ifndef BAYSCRIBE_RECORDED_MIC_CONTROL_H
#define BAYSCRIBE_RECORDED_MIC_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#define CONTROL_MAGIC 0x314d4352u /* "RCM1" */
#define CONTROL_BYTES 8192
#define CONTROL_EVENTS 256

/* What the microphone does where there is no recording, and behind its end. */
enum idle { IDLE_WAIT = 0, IDLE_SILENCE = 1, IDLE_UNPLUG = 2 };

enum operation {
    OP_DEAD = 1,   /* channel a: digital silence */
    OP_STUCK,      /* channel a: repeats its last value */
    OP_SWAP,       /* channels a and b change places */
    OP_INVERT,     /* channel a: polarity reversed */
    OP_CLIP,       /* channel a: 48 dB of gain, then saturation */
    OP_DC,         /* channel a: b is added */
    OP_REPAIR,     /* channel a, or all for a = -1: as recorded */
    OP_DRIFT,      /* the clock runs a parts per million fast */
    OP_OVERRUN,    /* the reader sees nothing for a ms, then -EPIPE */
    OP_SHORT_READ, /* the next read gives half of what was asked */
    OP_UNPLUG      /* gone for a ms, or until plugged in again for a = 0 */
};

struct event {
    uint64_t at; /* frame of the recording; 0: at once */
    uint32_t operation;
    int32_t a;
    int32_t b;
    uint32_t done;
};

struct control {
    uint32_t magic;
    uint32_t channels;
    uint32_t rate;
    uint32_t idle;       /* enum idle, while no recording plays */
    uint64_t generation; /* counts recordings; 0: none yet */
    uint64_t frames;     /* length of the recording */
    uint32_t at_end;     /* enum idle, once the recording has ended */
    uint32_t event_count;
    uint32_t unplugged;
    int32_t drift_ppm;
    int64_t replug_ns;    /* CLOCK_MONOTONIC at which an unplugged array returns; 0: never */
    int64_t clock_ns;     /* the recording's own clock: at clock_ns its ... */
    uint64_t clock_frame; /* ... frame clock_frame is heard; clock_ns = 0: not started */
    /* written by the driver alone */
    uint64_t delivered; /* frames of the recording that the reader got */
    uint64_t lost;      /* frames of the recording that nobody got */
    uint64_t overruns;
    uint64_t short_reads;
    uint64_t opens;
    uint64_t finished; /* generation whose last frame was delivered or lost */
    int64_t reader;    /* process id that has the PCM open, 0: nobody */
    struct event events[CONTROL_EVENTS];
};

_Static_assert(sizeof(struct event) == 24, "layout");
_Static_assert(offsetof(struct control, delivered) == 72, "layout");
_Static_assert(offsetof(struct control, events) == 128, "layout");
_Static_assert(sizeof(struct control) <= CONTROL_BYTES, "layout");

#endif
