/* keys: making and showing is the same at both daemons; only a server lets others in. */
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
    "show     prints the public key\n"
    "allow    lets an agent in: NAME is a name for the box, KEY its public key or .pub file,\n"
    "         and each --stream a stream name it may use (a * at the end stands for any rest).\n"
    "         A running server sees it at once. To take it back, remove the file.\n"
    "\n"
    "  cloud-server keys new\n"
    "  cloud-server keys allow gate-box gate-box.pub --stream gate-1 --stream 'yard-*'\n";

const struct cli_flag server_keys_flags[] = {
    { "folder", 'd', "FOLDER", false, "where the key files are (default: keys)" },
    { "name", 'n', "NAME", false, "name of the pair: NAME.pub and NAME.key (default: server)" },
    { "allow", 'a', "FOLDER", false, "folder of allowed agents (default: " ALLOW_FOLDER ")" },
    { "stream", 's', "STREAM", true, "a stream name that the agent may use" },
    { NULL, 0, NULL, false, NULL },
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

static int allow(const struct cli_values *values)
{
    size_t count, stream_count;
    const char *const *arguments = cli_arguments(values, &count);
    const char *const *streams = cli_flag_all(values, "stream", &stream_count);
    const char *folder = cli_flag(values, "allow") ? cli_flag(values, "allow") : ALLOW_FOLDER;
    char public_text[KEY_TEXT_BYTES];
    struct error err;

    if (count != 3 || stream_count == 0) {
        fprintf(stderr, "cloud-server: keys allow needs a NAME, a KEY and at least one --stream\n");
        return 2;
    }
    if (read_key(arguments[2], public_text, &err) < 0 ||
        keys_allow(folder, arguments[1], public_text, streams, stream_count, &err) < 0) {
        fprintf(stderr, "cloud-server: %s\n", err.text);
        return 1;
    }
    printf("%s/%s.yaml\n", folder, arguments[1]);
    return 0;
}

int server_keys_command(const struct cli_values *values)
{
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);

    if (count > 0 && strcmp(arguments[0], "allow") == 0)
        return allow(values);
    int status = keys_command(values, "server");
    if (status < 0) {
        fprintf(stderr, "cloud-server: keys needs one of: new, show, allow\n");
        return 2;
    }
    return status;
}
