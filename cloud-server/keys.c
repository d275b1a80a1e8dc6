/* keys: a pair of its own is made, shown and replaced as at the agent; only a server lets others in. */
#include "keys.h"
#include "net/keys.h"
#include "net/keys_command.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define ALLOW_FOLDER "keys/allow"

const char server_keys_more[] =
    "new      makes the server's key pair; the .pub file goes to every agent\n"
    "show     prints the public key, and below it the one that is to follow\n"
    "allow    lets an agent in: NAME is a name for the box, KEY its public key or .pub file,\n"
    "         each --stream a stream name it may use (a * at the end stands for any rest);\n"
    "         with --reads it may subscribe to the answers. A running server sees it at once.\n"
    "rotate   without NAME: makes the pair that is to follow the server's own; with --switch, "
    "when\n"
    "         every agent has its public key, makes it the present one (then restart the server).\n"
    "         With NAME and KEY: lets that agent in with a second key while it replaces its own.\n"
    "revoke   takes an agent back, or with KEY one of its two keys; its streams end at once.\n"
    "\n"
    "  cloud-server keys new\n"
    "  cloud-server keys allow gate-box gate-box.pub --stream gate-1 --stream 'yard-*'\n"
    "  cloud-server keys allow dashboard dashboard.pub --reads\n"
    "  cloud-server keys rotate gate-box gate-box-next.pub\n"
    "  cloud-server keys revoke gate-box\n";

const struct cli_flag server_keys_flags[] = {
    { "folder", 'd', "FOLDER", false, "where the key files are (default: keys)" },
    { "name", 'n', "NAME", false, "name of the pair: NAME.pub and NAME.key (default: server)" },
    { "allow", 'a', "FOLDER", false, "folder of allowed agents (default: " ALLOW_FOLDER ")" },
    { "stream", 's', "STREAM", true, "a stream name that the agent may use" },
    { "reads", 'r', NULL, false, "the agent may subscribe to all answers" },
    { "switch", 0, NULL, false, "rotate: the next pair becomes the present one" },
    { NULL, 0, NULL, false, NULL },
};

static const struct keys_words words = {
    .name = "server",
    .after_new = "copy %s.pub to every box, as the file that its server.key names",
    .after_rotate =
        "add %s-next.pub as a second line to the file that server.key names, on every box "
        "(no restart there); then: cloud-server keys rotate --switch",
    .after_switch =
        "restart cloud-server; boxes that hold both keys come back by themselves. Then take "
        "the old line out of their files",
};

/* KEY is the file that the key is in, or the key itself: a path can be as long as a key, and look like one. */
static int read_key(const char *given, char public_text[KEY_TEXT_BYTES], struct error *err)
{
    uint8_t bytes[32];

    if (access(given, F_OK) != 0 && strlen(given) == KEY_TEXT_BYTES - 1 &&
        zmq_z85_decode(bytes, given)) {
        memcpy(public_text, given, KEY_TEXT_BYTES);
        return 0;
    }
    return keys_read_public(given, public_text, err);
}

static const char *allow_folder(const struct cli_values *values)
{
    return cli_flag(values, "allow") ? cli_flag(values, "allow") : ALLOW_FOLDER;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "cloud-server: %s\n", err->text);
    return 1;
}

static int allow(const struct cli_values *values)
{
    size_t count, stream_count;
    const char *const *arguments = cli_arguments(values, &count);
    const char *const *streams = cli_flag_all(values, "stream", &stream_count);
    char public_text[KEY_TEXT_BYTES];
    struct error err;
    const struct allowed_agent agent = { .key = public_text,
                                         .streams = streams,
                                         .stream_count = stream_count,
                                         .reads = cli_flag(values, "reads") != NULL };

    if (count != 3 || (stream_count == 0 && !agent.reads)) {
        fprintf(stderr,
                "cloud-server: keys allow needs a NAME, a KEY, and at least one --stream or "
                "--reads\n");
        return 2;
    }
    if (read_key(arguments[2], public_text, &err) < 0 ||
        keys_allow_agent(allow_folder(values), arguments[1], &agent, &err) < 0)
        return fail(&err);
    printf("%s/%s.yaml\n", allow_folder(values), arguments[1]);
    fprintf(stderr,
            "next: nothing here; a running server lets it in within a second, and an agent that "
            "was refused tries again within 15 s\n");
    return 0;
}

static int rotate_agent(const struct cli_values *values)
{
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);
    char public_text[KEY_TEXT_BYTES];
    struct error err;

    if (count != 3) {
        fprintf(stderr,
                "cloud-server: keys rotate needs a NAME and a KEY for an agent, neither of them "
                "for the server's own pair\n");
        return 2;
    }
    if (read_key(arguments[2], public_text, &err) < 0 ||
        keys_allow_next(allow_folder(values), arguments[1], public_text, &err) < 0)
        return fail(&err);
    printf("%s/%s.yaml\n", allow_folder(values), arguments[1]);
    fprintf(stderr,
            "next: on the box: edge-agent keys rotate --switch, and restart it; then here: "
            "cloud-server "
            "keys revoke %s OLD-KEY\n",
            arguments[1]);
    return 0;
}

static int revoke_agent(const struct cli_values *values)
{
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);
    char public_text[KEY_TEXT_BYTES];
    struct error err;

    if (count < 2 || count > 3) {
        fprintf(stderr,
                "cloud-server: keys revoke needs the NAME of an agent, and may have one of its "
                "KEYs\n");
        return 2;
    }
    if ((count == 3 && read_key(arguments[2], public_text, &err) < 0) ||
        keys_disallow(allow_folder(values), arguments[1], count == 3 ? public_text : NULL, &err) < 0)
        return fail(&err);
    fprintf(stderr,
            "next: nothing; a running server ends its streams within a second, and it cannot "
            "come back with this key\n");
    return 0;
}

int server_keys_command(const struct cli_values *values)
{
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);
    const char *verb = count > 0 ? arguments[0] : "";

    if (strcmp(verb, "allow") == 0)
        return allow(values);
    if (strcmp(verb, "revoke") == 0)
        return revoke_agent(values);
    if (strcmp(verb, "rotate") == 0 && count > 1)
        return rotate_agent(values);
    int status = keys_command(values, &words);
    if (status < 0) {
        fprintf(stderr, "cloud-server: keys needs one of: new, show, allow, rotate, revoke\n");
        return 2;
    }
    return status;
}
