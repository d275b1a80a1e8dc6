/* keys_command: see the header. Prints public keys only. */
#include "net/keys_command.h"

#include "net/keys.h"
#include <stdio.h>
#include <string.h>

const struct cli_flag keys_command_flags[] = {
    { "folder", 'd', "FOLDER", false, "where the key files are (default: keys)" },
    { "name", 'n', "NAME", false, "name of the pair: NAME.pub and NAME.key" },
    { NULL, 0, NULL, false, NULL },
};

int keys_command(const struct cli_values *values, const char *fallback_name)
{
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);
    const char *verb = count > 0 ? arguments[0] : "";
    const char *folder = cli_flag(values, "folder") ? cli_flag(values, "folder") : "keys";
    const char *name = cli_flag(values, "name") ? cli_flag(values, "name") : fallback_name;
    struct key_pair pair;
    struct error err;
    int result;
    bool new = strcmp(verb, "new") == 0;
    if (!new &&strcmp(verb, "show") != 0)
        return -1;
    if (count > 1) {
        fprintf(stderr, "keys %s: what is \"%s\" for? A name is given as --name %s\n", verb,
                arguments[1], arguments[1]);
        return 2;
    }
    if (new)
        result = keys_create(folder, name, &pair, &err);
    else
        result = keys_read_pair(folder, name, &pair, &err);
    if (result != 0) {
        fprintf(stderr, "keys: %s\n", err.text);
        return 1;
    }
    printf("%s\n", pair.public_text);
    if (new)
        fprintf(stderr, "made %s/%s.pub (give this one away) and %s/%s.key (keep it secret)\n",
                folder, name, folder, name);
    keys_wipe(&pair);
    return 0;
}
