#include "coordinator/cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void columns_line_up(void **state)
{
	(void)state;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct table table;
	table_init(&table, (const char *const[]){"HOST", "FROM → TO", "BY"}, 3);
	table_add(&table, (const char *const[]){"web1", "a → b", "me\x1b"});
	table_note(&table, "a note that is wider than any\ncolumn");
	table_add(&table, (const char *const[]){"database", "", "you"});
	table_add(&table, (const char *const[]){"x", "y", ""});
	table_print(&table, out);
	table_release(&table);
	fclose(out);
	assert_string_equal(text, "HOST      FROM → TO  BY\n"
				  "web1      a → b      me\\x1b\n"
				  "    a note that is wider than any\\ncolumn\n"
				  "database             you\n"
				  "x         y\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_line_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
