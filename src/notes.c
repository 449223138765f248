/*
 * notes.c - what a visit has to tell beside its report.
 */
#include "notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

void notes_add(struct notes *notes, int priority, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;

	if (notes->n_notes == NOTES_MAX) {
		notes->n_dropped++;
		return;
	}
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut is fine */
	va_end(args);

	(void)text_clean(notes->notes[notes->n_notes].text,
			 sizeof(notes->notes[0].text), text, strlen(text));
	notes->notes[notes->n_notes].priority = priority;
	notes->n_notes++;
}
