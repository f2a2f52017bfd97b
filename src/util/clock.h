/* Two clocks: what time it is, and how much time has passed. */
#ifndef ATELIER_UTIL_CLOCK_H
#define ATELIER_UTIL_CLOCK_H

#include <stdint.h>

/* Unix seconds. What headers and timelocks are judged by, and what regtest may pretend. Any thread. */
int64_t clock_wall(void);

/* From now on clock_wall says this; 0 goes back to the real clock. */
void clock_set_mock(int64_t seconds);

/* Milliseconds since some moment in the past; never goes back. For durations and timeouts. */
int64_t clock_mono_ms(void);

/* From now on clock_mono_ms says this, and stands still between calls; 0 goes back to the real clock. For
 * unit tests. */
void clock_set_mono(int64_t ms);

#endif
