/* The table of fleet.yaml, for the test that compares it with docs/configuration.md. */
#pragma once

#include "common/config/config.h"

extern const struct config_field fleet_fields[];
