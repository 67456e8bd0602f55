/* The clocks. Engines take times as arguments; only their shells read these. */
#pragma once

#include <stdint.h>

uint64_t clock_unix_ms(void); /* CLOCK_REALTIME */
uint64_t clock_mono_ms(void); /* CLOCK_MONOTONIC */
