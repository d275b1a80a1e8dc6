/* keys: key pairs as files that people can copy: one line of Z85 each, the secret for its owner only.
 */
#include "net/keys.h"

#include "base/file.h"
#include "base/text.h"
#include "net/keys_file.h"
#include "net/wire.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define KEY_BYTES 32u
#define KEY_FILE_BYTES_MAX 64u /* the key, and how an editor may end the line */
#define SECRET_MODE 0600
#define PUBLIC_MODE 0644
#define SECRET_FOLDER_MODE 0700
#define ALLOW_FOLDER_MODE 0755

static int write_key(const char *path, const char *key, mode_t mode, struct error *err);
static int read_key(const char *path, char key[KEY_TEXT_BYTES], bool secret, struct error *err);
static int read_line(int file, const char *path, char line[KEY_FILE_BYTES_MAX + 1],
                     struct error *err);
static bool is_key(const char *text);
static int check_streams(const char *const *streams, size_t stream_count, struct error *err);

int keys_create(const char *folder, const char *name, struct key_pair *pair, struct error *err)
{
    assert(folder && name && pair);
    char secret_path[PATH_MAX], public_path[PATH_MAX];
    struct key_pair fresh;
    int result;
    if ((result = wire_check_name(name, "key name", err)) < 0 ||
        (result = keys_file_path(secret_path, sizeof secret_path, folder, name, ".key", err)) < 0 ||
        (result = keys_file_path(public_path, sizeof public_path, folder, name, ".pub", err)) < 0 ||
        (result = file_make_folder(folder, SECRET_FOLDER_MODE, err)) < 0)
        return result;
    if (zmq_curve_keypair(fresh.public_text, fresh.secret_text) != 0)
        return error_set(err, ERROR_UNSUPPORTED, "keys", "libzmq was built without CURVE: %s",
                         zmq_strerror(errno));
    result = write_key(secret_path, fresh.secret_text, SECRET_MODE, err);
    if (result == 0) {
        result = write_key(public_path, fresh.public_text, PUBLIC_MODE, err);
        if (result < 0)
            unlink(secret_path); /* ours, made a moment ago: half a pair helps nobody */
    }
    if (result == 0)
        *pair = fresh;
    keys_wipe(&fresh);
    return result;
}

int keys_read_pair(const char *folder, const char *name, struct key_pair *pair, struct error *err)
{
    assert(folder && name && pair);
    char secret_path[PATH_MAX], public_path[PATH_MAX], derived[KEY_TEXT_BYTES];
    struct key_pair fresh;
    int result;
    if ((result = wire_check_name(name, "key name", err)) < 0 ||
        (result = keys_file_path(secret_path, sizeof secret_path, folder, name, ".key", err)) < 0 ||
        (result = keys_file_path(public_path, sizeof public_path, folder, name, ".pub", err)) < 0 ||
        (result = read_key(secret_path, fresh.secret_text, true, err)) < 0)
        return result;
    result = read_key(public_path, fresh.public_text, false, err);
    if (result == 0 && zmq_curve_public(derived, fresh.secret_text) != 0)
        result = error_set(err, ERROR_UNSUPPORTED, "keys", "libzmq was built without CURVE: %s",
                           zmq_strerror(errno));
    if (result == 0 && strcmp(derived, fresh.public_text) != 0)
        result = error_set(err, ERROR_CONFIG, public_path,
                           "does not belong to %s; the public key of that secret is %s",
                           secret_path, derived);
    if (result == 0)
        *pair = fresh;
    keys_wipe(&fresh);
    return result;
}

int keys_read_public(const char *path, char public_text[KEY_TEXT_BYTES], struct error *err)
{
    assert(path && public_text);
    return read_key(path, public_text, false, err);
}

int keys_check_public(const char *public_text, const char *place, struct error *err)
{
    assert(public_text && place);
    if (is_key(public_text))
        return 0;
    return error_set(err, ERROR_CONFIG, place,
                     "is not a public key: %zu characters instead of 40 of Z85 (the line in a .pub "
                     "file; in YAML put it between single quotes)",
                     strlen(public_text));
}

void keys_wipe(struct key_pair *pair)
{
    explicit_bzero(pair->secret_text, sizeof pair->secret_text);
}

int keys_allow(const char *folder, const char *name, const char *public_text,
               const char *const *streams, size_t stream_count, struct error *err)
{
    assert(folder && name && public_text && (streams || stream_count == 0));
    char path[PATH_MAX];
    int result;
    if ((result = wire_check_name(name, "agent name", err)) < 0 ||
        (result = keys_check_public(public_text, "key", err)) < 0 ||
        (result = check_streams(streams, stream_count, err)) < 0 ||
        (result = keys_file_path(path, sizeof path, folder, name, ".yaml", err)) < 0 ||
        (result = file_make_folder(folder, ALLOW_FOLDER_MODE, err)) < 0)
        return result;
    struct text text = { 0 };
    /* Neither Z85 nor the names have quotes in them. */
    text_printf(&text, "key: '%s'\nstreams: [", public_text);
    for (size_t i = 0; i < stream_count; i++)
        text_printf(&text, "%s'%s'", i ? ", " : "", streams[i]);
    text_add_str(&text, "]\n");
    if (text.failed)
        result = error_set(err, ERROR_MEMORY, path, "no room for its text");
    else if (text.size > KEYS_ALLOWED_FILE_BYTES_MAX)
        result = error_set(err, ERROR_LIMIT, path, "would have %zu bytes, at most %u are read",
                           text.size, KEYS_ALLOWED_FILE_BYTES_MAX);
    else
        result = file_write(path, text.data, text.size, PUBLIC_MODE, true, err);
    text_finish(&text);
    return result;
}

static int write_key(const char *path, const char *key, mode_t mode, struct error *err)
{
    char line[KEY_TEXT_BYTES + 1];
    memcpy(line, key, KEY_TEXT_BYTES - 1);
    memcpy(line + KEY_TEXT_BYTES - 1, "\n", 2);
    int result = file_write(path, line, strlen(line), mode, false, err);
    explicit_bzero(line, sizeof line);
    return result;
}

static int read_key(const char *path, char key[KEY_TEXT_BYTES], bool secret, struct error *err)
{
    /* Not blocking: a pipe in its place must not stop the start. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 && errno == ENOENT)
        return error_set(err, ERROR_CONFIG, path,
                         "no such file; make a key pair with `keys new` first");
    if (file < 0)
        return error_set_errno(err, errno, path, "cannot read this key");
    char line[KEY_FILE_BYTES_MAX + 1];
    struct stat info;
    int result = 0;
    if (fstat(file, &info) != 0)
        result = error_set_errno(err, errno, path, "cannot read this key");
    else if (!S_ISREG(info.st_mode))
        result = error_set(err, ERROR_CONFIG, path, "is not a file");
    else if (secret && (info.st_mode & (S_IRWXG | S_IRWXO)))
        result = error_set(err, ERROR_CONFIG, path,
                           "others may read this secret (mode %04o); run: chmod 600 %s",
                           (unsigned)info.st_mode & 07777, path);
    if (result == 0)
        result = read_line(file, path, line, err);
    if (result == 0 && !is_key(line))
        result = error_set(err, ERROR_FORMAT, path,
                           "is not a key: expected one line of 40 characters of Z85, found %zu",
                           strlen(line));
    if (result == 0)
        memcpy(key, line, KEY_TEXT_BYTES);
    explicit_bzero(line, sizeof line);
    close(file);
    return result;
}

/* The file's only line without its end. */
static int read_line(int file, const char *path, char line[KEY_FILE_BYTES_MAX + 1], struct error *err)
{
    size_t size = 0;
    for (ssize_t count = 1; count != 0 && size <= KEY_FILE_BYTES_MAX;) {
        count = read(file, line + size, KEY_FILE_BYTES_MAX + 1 - size);
        if (count < 0 && errno != EINTR)
            return error_set_errno(err, errno, path, "cannot read this key");
        size += count > 0 ? (size_t)count : 0;
    }
    if (size > KEY_FILE_BYTES_MAX)
        return error_set(err, ERROR_FORMAT, path, "is longer than a key");
    while (size > 0 && strchr(" \t\r\n", line[size - 1]))
        size--;
    line[size] = '\0';
    return 0;
}

static bool is_key(const char *text)
{
    uint8_t bytes[KEY_BYTES];
    if (strlen(text) != KEY_TEXT_BYTES - 1)
        return false;
    bool valid = zmq_z85_decode(bytes, text) != NULL;
    explicit_bzero(bytes, sizeof bytes);
    return valid;
}

static int check_streams(const char *const *streams, size_t stream_count, struct error *err)
{
    if (stream_count < 1 || stream_count > KEYS_STREAMS_MAX)
        return error_set(err, ERROR_CONFIG, "streams",
                         "%zu names given, 1 to %u are allowed ('*' alone allows every name)",
                         stream_count, KEYS_STREAMS_MAX);
    for (size_t i = 0; i < stream_count; i++) {
        int result = wire_check_pattern(streams[i], "streams", err);
        if (result < 0)
            return result;
    }
    return 0;
}
