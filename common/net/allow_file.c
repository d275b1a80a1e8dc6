/* allow_file: what is written is checked like what is read, so that nothing gets into the folder that the
 * server would leave out. */
#include "net/allow_file.h"

#include "base/file.h"
#include "base/text.h"
#include "net/keys_file.h"
#include "net/wire.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALLOW_MODE 0644
#define ALLOW_FOLDER_MODE 0755

static const struct option_spec allow_options[] = {
    OPTION_STRING_REQUIRED(allow_text, key, "'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7'",
                           "the agent's public key, the line in its .pub file"),
    OPTION_STRING(allow_text, next_key, "",
                  "the key that follows it: while it is replaced, both come in"),
    OPTION_STRINGS(allow_text, streams, 0, KEYS_STREAMS_MAX,
                   "stream names it may use; * at the end stands for any rest"),
    OPTION_BOOL(allow_text, reads, "false", "whether it may subscribe to all answers"),
    OPTION_END,
};

static int check_agent(const struct allowed_agent *agent, struct error *err);
static int check_size(const char *path, struct error *err);
static void print_agent(const struct allowed_agent *agent, struct text *text);
static struct allowed_agent agent_of(const struct allow_text *text);

int allow_file_read(struct config **config, struct allow_text *text, const char *folder,
                    const char *name, struct error *err)
{
    char path[PATH_MAX];
    int result;
    *config = NULL;
    *text = (struct allow_text){ 0 };
    if ((result = wire_check_name(name, "agent name", err)) < 0 ||
        (result = keys_file_path(path, sizeof path, folder, name, ALLOW_FILE_SUFFIX, err)) < 0 ||
        (result = check_size(path, err)) < 0 ||
        (result = config_load(config, allow_options, text, path, NULL, 0, err)) < 0)
        return result;
    const struct allowed_agent agent = agent_of(text);
    return check_agent(&agent, err);
}

int keys_allow_agent(const char *folder, const char *name, const struct allowed_agent *agent,
                     struct error *err)
{
    assert(folder && name && agent && agent->key && (agent->streams || agent->stream_count == 0));
    char path[PATH_MAX];
    int result;
    if ((result = wire_check_name(name, "agent name", err)) < 0 ||
        (result = check_agent(agent, err)) < 0 ||
        (result = keys_file_path(path, sizeof path, folder, name, ALLOW_FILE_SUFFIX, err)) < 0 ||
        (result = file_make_folder(folder, ALLOW_FOLDER_MODE, err)) < 0)
        return result;
    struct text text = { 0 };
    print_agent(agent, &text);
    if (text.failed)
        result = error_set(err, ERROR_MEMORY, path, "no room for its text");
    else if (text.size > KEYS_ALLOWED_FILE_BYTES_MAX)
        result = error_set(err, ERROR_LIMIT, path, "would have %zu bytes, at most %u are read",
                           text.size, KEYS_ALLOWED_FILE_BYTES_MAX);
    else
        result = file_write(path, text.data, text.size, ALLOW_MODE, true, err);
    text_finish(&text);
    return result;
}

int keys_allow(const char *folder, const char *name, const char *public_text,
               const char *const *streams, size_t stream_count, struct error *err)
{
    const struct allowed_agent agent = { .key = public_text,
                                         .streams = streams,
                                         .stream_count = stream_count };
    return keys_allow_agent(folder, name, &agent, err);
}

int keys_allow_next(const char *folder, const char *name, const char *public_text, struct error *err)
{
    struct config *config;
    struct allow_text text;
    int result = allow_file_read(&config, &text, folder, name, err);
    if (result == 0 && text.next_key[0] != '\0' && strcmp(text.next_key, public_text) != 0)
        result =
            error_set(err, ERROR_CONFIG, name,
                      "has a next key already; first take back the one that is no longer used");
    if (result == 0) {
        struct allowed_agent agent = agent_of(&text);
        agent.next_key = public_text;
        result = keys_allow_agent(folder, name, &agent, err);
    }
    config_free(&config);
    return result;
}

static int remove_file(const char *folder, const char *name, struct error *err)
{
    char path[PATH_MAX];
    int result = wire_check_name(name, "agent name", err);
    if (result == 0)
        result = keys_file_path(path, sizeof path, folder, name, ALLOW_FILE_SUFFIX, err);
    if (result == 0 && unlink(path) != 0)
        result = error_set_errno(err, errno, path, "cannot take this agent back");
    return result;
}

int keys_disallow(const char *folder, const char *name, const char *public_text, struct error *err)
{
    struct config *config;
    struct allow_text text;
    if (!public_text) /* whatever is in the file */
        return remove_file(folder, name, err);
    int result = allow_file_read(&config, &text, folder, name, err);
    if (result == 0) {
        struct allowed_agent agent = agent_of(&text);
        bool first = strcmp(public_text, agent.key) == 0;
        if (first && !agent.next_key) {
            result = remove_file(folder, name, err);
        } else if (first || (agent.next_key && strcmp(public_text, agent.next_key) == 0)) {
            agent.key = first ? agent.next_key : agent.key;
            agent.next_key = NULL;
            result = keys_allow_agent(folder, name, &agent, err);
        } else {
            result = error_set(err, ERROR_CONFIG, name, "does not have the key %s", public_text);
        }
    }
    config_free(&config);
    return result;
}

static struct allowed_agent agent_of(const struct allow_text *text)
{
    return (struct allowed_agent){ .key = text->key,
                                   .next_key = text->next_key[0] ? text->next_key : NULL,
                                   .streams = (const char *const *)text->streams.items,
                                   .stream_count = text->streams.count,
                                   .reads = text->reads };
}

static int check_agent(const struct allowed_agent *agent, struct error *err)
{
    int result = keys_check_public(agent->key, "key", err);
    if (result == 0 && agent->next_key)
        result = keys_check_public(agent->next_key, "next_key", err);
    if (result == 0 && agent->next_key && strcmp(agent->key, agent->next_key) == 0)
        result = error_set(err, ERROR_CONFIG, "next_key", "is the key that it should follow");
    if (result == 0 &&
        ((agent->stream_count < 1 && !agent->reads) || agent->stream_count > KEYS_STREAMS_MAX))
        result = error_set(err, ERROR_CONFIG, "streams",
                           "%zu names given, 1 to %u are allowed ('*' alone allows every name)",
                           agent->stream_count, KEYS_STREAMS_MAX);
    for (size_t i = 0; result == 0 && i < agent->stream_count; i++)
        result = wire_check_pattern(agent->streams[i], "streams", err);
    return result;
}

static int check_size(const char *path, struct error *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return error_set_errno(err, errno, path, "cannot read this agent's file");
    if (info.st_size > (off_t)KEYS_ALLOWED_FILE_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, path, "has %lld bytes, at most %u are read",
                         (long long)info.st_size, KEYS_ALLOWED_FILE_BYTES_MAX);
    return 0;
}

/* Neither Z85 nor the names have quotes in them. */
static void print_agent(const struct allowed_agent *agent, struct text *text)
{
    text_printf(text, "key: '%s'\n", agent->key);
    if (agent->next_key)
        text_printf(text, "next_key: '%s'\n", agent->next_key);
    text_add_str(text, "streams: [");
    for (size_t i = 0; i < agent->stream_count; i++)
        text_printf(text, "%s'%s'", i ? ", " : "", agent->streams[i]);
    text_add_str(text, "]\n");
    if (agent->reads)
        text_add_str(text, "reads: true\n");
}
