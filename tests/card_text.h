/* card_text: the shipped card for a copy of its folder. */
#ifndef RUNESPOOR_TESTS_CARD_TEXT_H
#define RUNESPOOR_TESTS_CARD_TEXT_H

#include <stdio.h>
#include <string.h>

/* Reads a card without its line of networks that restore, which a copy may not have or names itself. NULL: it
 * cannot be read. text is size bytes large. */
static inline char *card_text_read(const char *path, char *text, size_t size)
{
    FILE *in = fopen(path, "r");
    if (!in)
        return NULL;
    text[fread(text, 1, size - 1, in)] = '\0';
    fclose(in);
    char *networks = strstr(text, "\nrestore:");
    if (networks) {
        char *line = networks + 1, *next = line + strcspn(line, "\n");
        memmove(line, next + (*next == '\n'), strlen(next + (*next == '\n')) + 1);
    }
    return text;
}

#endif
