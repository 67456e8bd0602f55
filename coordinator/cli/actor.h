/* Who asks: for the lock, the deployment log and the ledger. */
#pragma once

/* --actor if given, else $GITHUB_ACTOR, else user@host. The caller frees. */
char *actor_name(const char *given);
