#include "coordinator/cli/help.h"

#include "common/base/mem.h"

enum { LINE_WIDTH = 80, VERB_COLUMN = 14, OPTION_COLUMN = 26, STATUS_COLUMN = 6 };

#define PURPOSE                                                                                    \
	"Deploys a git repository or a folder to a fleet of servers. A host ends every "           \
	"deployment on the old verified release or on the new verified one."

const struct option_row main_options[] = {
	{"version", 0, OPTION_FLAG, NULL, offsetof(struct options, version), "print the version"},
	{0},
};

static const struct {
	const char *status, *meaning;
} statuses[] = {
	{"0", "done, or nothing to do"},
	{"1", "internal error"},
	{"2", "wrong command line, configuration or repository"},
	{"3", "another deployment holds the lock"},
	{"4", "a host is unreachable or not ready; nothing was changed"},
	{"5", "failed, and every host is back on its old release"},
	{"6", "failed, and hosts are on different releases, or one could not be asked; or files "
	      "drifted "
	      "from their release"},
	{"7", "a rollback failed"},
	{"8", "a signature, key or permission was refused; or evidence does not verify"},
	{"9", "refused by a deployment window or a missing approval"},
	{"10", "aborted on request"},
	{"11", "done, but some hosts were skipped"},
	{"12", "left on request while it ran; `fairlead resume` takes it up"},
};

/* Words of text from `column` on, later lines indented to `indent`; "\n\n" begins a paragraph. */
static void print_wrapped(FILE *out, const char *text, size_t column, size_t indent)
{
	size_t at = column;
	while (*text) {
		if (*text == ' ' || *text == '\n') {
			size_t blank = strspn(text, " \n");
			if (blank >= 2 && text[0] == '\n') {
				fprintf(out, "\n\n%*s", (int)indent, "");
				at = indent;
			}
			text += blank;
			continue;
		}
		size_t len = strcspn(text, " \n");
		if (at > indent && at + 1 + len > LINE_WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
		} else if (at > indent) {
			fputc(' ', out);
			at++;
		}
		fprintf(out, "%.*s", (int)len, text);
		at += len;
		text += len;
	}
	fputc('\n', out);
}

/* "  left      text", the text on the next line where left is too long. */
static void print_row(FILE *out, const char *left, size_t column, const char *text)
{
	int used = fprintf(out, "  %s", left);
	if (used >= 0 && (size_t)used + 1 < column)
		fprintf(out, "%*s", (int)column - used, "");
	else
		fprintf(out, "\n%*s", (int)column, "");
	print_wrapped(out, text, column, column);
}

static void print_options(FILE *out, const char *title, const struct option_row *rows)
{
	if (!rows || !rows->name)
		return;
	fprintf(out, "\n%s:\n", title);
	for (; rows->name; rows++) {
		AUTO_FREE char *letter =
			rows->letter ? xasprintf("-%c, ", rows->letter) : xstrdup("    ");
		AUTO_FREE char *left = xasprintf("%s--%s%s%s", letter, rows->name,
			rows->value ? " " : "", rows->value ? rows->value : "");
		print_row(out, left, OPTION_COLUMN, rows->help);
	}
}

void help_overview(FILE *out)
{
	fputs("usage: fairlead [OPTION…] VERB [ARGUMENT…]\n\n", out);
	print_wrapped(out, PURPOSE, 0, 0);
	fputs("\nVerbs:\n", out);
	for (size_t i = 0; commands[i]; i++)
		print_row(out, commands[i]->name, VERB_COLUMN, commands[i]->summary);
	print_options(out, "Options", main_options);
	print_options(out, "Options of every verb", common_options);
	fputs("\nExit status:\n", out);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		print_row(out, statuses[i].status, STATUS_COLUMN, statuses[i].meaning);
	fputs("\n`fairlead VERB --help` explains a verb.\n", out);
}

void help_command(FILE *out, const struct command *command)
{
	fprintf(out, "usage: fairlead %s [OPTION…]%s%s\n\n", command->name,
		command->args[0] ? " " : "", command->args);
	fprintf(out, "%s: %s\n", command->name, command->summary);
	if (command->details) {
		fputc('\n', out);
		print_wrapped(out, command->details, 0, 0);
	}
	print_options(out, "Options", command->options);
	print_options(out, "Options of every verb", common_options);
}

/* -- man page ----------------------------------------------------------------------------- */

/* Text of ours for mdoc(7): escape what roff reads, one source line per paragraph. */
static void man_text(FILE *out, const char *text)
{
	bool line_start = true;
	for (; *text; text++) {
		if (text[0] == '\n' && text[1] == '\n') {
			fputs("\n.Pp", out);
			text++;
		}
		if (line_start && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		line_start = *text == '\n';
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
	fputc('\n', out);
}

/* An argument of a macro, quoted: "[FILE]" or "|" must not be read as mdoc. */
static void man_quoted(FILE *out, const char *text)
{
	fputs(" \"\\&", out);
	for (; *text; text++)
		fputs(*text == '"' ? "\\(dq" : (char[]){*text, '\0'}, out);
	fputc('"', out);
}

static void man_options(FILE *out, const struct option_row *rows)
{
	if (!rows || !rows->name)
		return;
	fputs(".Bl -tag -width Ds\n", out);
	for (; rows->name; rows++) {
		fputs(".It", out);
		if (rows->letter)
			fprintf(out, " Fl %c ,", rows->letter);
		fprintf(out, " Fl Fl %s", rows->name);
		if (rows->value) {
			fputs(" Ar", out);
			man_quoted(out, rows->value);
		}
		fputc('\n', out);
		man_text(out, rows->help);
	}
	fputs(".El\n", out);
}

void help_man(FILE *out)
{
	fputs(".Dd $Mdocdate$\n.Dt FAIRLEAD 1\n.Os\n.Sh NAME\n.Nm fairlead\n"
	      ".Nd deploy to a fleet of servers\n.Sh SYNOPSIS\n.Nm\n"
	      ".Op Ar option ...\n.Ar verb\n.Op Ar argument ...\n.Sh DESCRIPTION\n",
		out);
	man_text(out, PURPOSE);
	fputs(".Sh VERBS\n", out);
	for (size_t i = 0; commands[i]; i++) {
		const struct command *command = commands[i];
		fprintf(out, ".Ss %s", command->name);
		if (command->args[0])
			man_quoted(out, command->args);
		fputc('\n', out);
		man_text(out, command->summary);
		if (command->details) {
			fputs(".Pp\n", out);
			man_text(out, command->details);
		}
		man_options(out, command->options);
	}
	fputs(".Sh OPTIONS\n", out);
	man_options(out, main_options);
	fputs(".Pp\nOptions of every verb:\n", out);
	man_options(out, common_options);
	fputs(".Sh EXIT STATUS\n.Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		fprintf(out, ".It %s\n", statuses[i].status);
		man_text(out, statuses[i].meaning);
	}
	fputs(".El\n", out);
}
