#include "coordinator/plan/tree_impl.h"

void tree_release(struct tree *tree)
{
	manifest_release(&tree->manifest);
	if (tree->impl)
		tree->impl->free(tree->impl);
	*tree = (struct tree){0};
}
