/* keys: this box's own pair. */
#include "keys.h"

#include "net/keys.h"
#include "net/keys_command.h"
#include <stdio.h>
#include <string.h>

const char agent_keys_more[] =
    "new      makes this box's key pair; the .pub file goes to the server\n"
    "show     prints the public key, and below it the one that is to follow\n"
    "rotate   makes the pair that is to follow; with --switch, when the server knows its public\n"
    "         key, makes it the present one (then restart the agent)\n"
    "revoke   removes the pair, for a box that is given away; take it back at the server as "
    "well\n\n"
    "  edge-agent keys new --folder keys --name edge\n\n"
    "Copy NAME.pub to the server and let it in there: cloud-server keys allow NAME …\n";

static const struct keys_words words = {
    .name = "edge",
    .after_new =
        "copy %s.pub to the server, and there: cloud-server keys allow BOX %s.pub --stream NAME",
    .after_rotate = "copy %s-next.pub to the server, and there: cloud-server keys rotate BOX "
                    "%s-next.pub; then here: edge-agent keys rotate --switch",
    .after_switch = "restart edge-agent; then at the server: cloud-server keys revoke BOX OLD-KEY",
};

static int revoke(const struct cli_values *values)
{
    const char *folder = keys_command_folder(values), *name = keys_command_name(values, &words);
    struct error err;
    if (keys_destroy(folder, name, &err) < 0) {
        fprintf(stderr, "keys: %s\n", err.text);
        return 1;
    }
    fprintf(stderr, "removed %s/%s.key and .pub\nnext: at the server: cloud-server keys revoke BOX\n",
            folder, name);
    return 0;
}

int agent_keys_command(const struct cli_values *values)
{
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);
    if (count == 1 && strcmp(arguments[0], "revoke") == 0)
        return revoke(values);
    int status = keys_command(values, &words);
    if (status < 0) {
        fprintf(stderr, "edge-agent: keys needs one of: new, show, rotate, revoke\n");
        return 2;
    }
    return status;
}
