/* The table of policy.yaml, for the test that compares it with docs/configuration.md. */
#pragma once

#include "common/config/config.h"

extern const struct config_field policy_fields[];
