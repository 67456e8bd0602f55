#include "common/base/mem.h"
#include "coordinator/config/fleet_config.h"

#include <setjmp.h>

#include <cmocka.h>

static char role[] = "role", web[] = "web", db[] = "db", zone[] = "zone", a[] = "a",
	    web1[] = "web1", web2[] = "web2", db1[] = "db1";
static struct fleet_label web1_labels[] = {{role, web}, {zone, a}};
static struct fleet_label web2_labels[] = {{role, web}};
static struct fleet_label db1_labels[] = {{role, db}, {zone, a}};
static const struct fleet_host hosts[] = {
	{.name = web1, .labels = web1_labels, .label_count = 2},
	{.name = web2, .labels = web2_labels, .label_count = 1},
	{.name = db1, .labels = db1_labels, .label_count = 2},
};

static void hosts_are_selected(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool web1, web2, db1;
	} cases[] = {
		{"", true, true, true},
		{"  ", true, true, true},
		{"role=web", true, true, false},
		{" role = web ", true, true, false},
		{"role=web & zone=a", true, false, false},
		{"role=web&zone=a", true, false, false},
		{"web1,db1", true, false, true},
		{"web1 , web2", true, true, false},
		{"!role=db", true, true, false},
		{"! role=db", true, true, false},
		{"!zone=a", false, true, false},
		{"!web1,web2", false, false, true},
		{"role=web,role=db", true, true, true},
		{"role=web,role=db & !zone=a", false, true, false},
		{"web1,web2 & zone=a", true, false, false},
		{"role=cache", false, false, false},
		{"color=red", false, false, false},
		{"web", false, false, false},
		{"!color=red", true, true, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct selector *selector = NULL;
		struct err err = ERR_INIT;
		assert_int_equal(selector_parse(cases[i].text, &selector, &err), 0);
		const bool expected[] = {cases[i].web1, cases[i].web2, cases[i].db1};
		for (size_t h = 0; h < ARRAY_LEN(hosts); h++)
			if (selector_matches(selector, &hosts[h]) != expected[h])
				fail_msg("'%s' and %s", cases[i].text, hosts[h].name);
		selector_free(selector);
	}
	selector_free(NULL);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"role=", "\"role=\" is not a selector: a label is written name=value"},
		{"=web", "\"=web\" is not a selector: a word is missing"},
		{"a=b=c", "\"a=b=c\" is not a selector: a label is written name=value"},
		{"role!=db", "\"role!=db\" is not a selector: a label is written name=value"},
		{"web1,", "\"web1,\" is not a selector: a word is missing"},
		{",", "\",\" is not a selector: a word is missing"},
		{"&", "\"&\" is not a selector: a word is missing"},
		{"web1 &", "\"web1 &\" is not a selector: a word is missing"},
		{"!", "\"!\" is not a selector: a word is missing"},
		{"!!web1", "\"!!web1\" is not a selector: that is not a host's name"},
		{"web1,!web2", "\"web1,!web2\" is not a selector: that is not a host's name"},
		{"web 1", "\"web 1\" is not a selector: that is not a host's name"},
		{"web*", "\"web*\" is not a selector: that is not a host's name"},
		{"role=web,worker",
			"\"role=web,worker\" is not a selector: names and labels do not "
			"mix between commas"},
		{"web1\x1b[0m", "\"web1\\x1b[0m\" is not a selector: that is not a host's name"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct selector *selector = NULL;
		struct err err = ERR_INIT;
		assert_int_equal(selector_parse(cases[i].text, &selector, &err), -1);
		assert_null(selector);
		assert_int_equal(err.code, ERR_USAGE);
		assert_string_equal(err.message, cases[i].message);
		assert_string_equal(err.hint,
			"Write for example \"role=web & zone=a\", \"web1,web2\" "
			"or \"!role=db\".");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_selected),
		cmocka_unit_test(nonsense_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
