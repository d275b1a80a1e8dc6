/* keys: key pairs as files that people can copy: one line of Z85 each, the secret for its owner only.
 */
#include "net/keys.h"

#include "base/file.h"
#include "net/keys_file.h"
#include "net/wire.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define KEY_BYTES 32u
#define KEY_FILE_BYTES_MAX 64u /* the key, and how an editor may end the line */
#define SECRET_MODE 0600
#define PUBLIC_MODE 0644
#define SECRET_FOLDER_MODE 0700

static int write_key(const char *path, const char *key, mode_t mode, struct error *err);
static int read_key(const char *path, char key[KEY_TEXT_BYTES], bool secret, struct error *err);
static int open_key(const char *path, bool secret, const char *advice, struct error *err);
static int read_text(int file, const char *path, char *text, size_t text_bytes, struct error *err);
static int check_key(const char *line, const char *path, struct error *err);
static bool is_key(const char *text);
static int next_name(char next[NAME_MAX + 1], const char *name, struct error *err);

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

int keys_read_list(const char *path, char keys[KEYS_SERVER_MAX][KEY_TEXT_BYTES], size_t *count,
                   struct error *err)
{
    assert(path && keys && count);
    char text[KEYS_SERVER_MAX * KEY_FILE_BYTES_MAX + 1], *rest = text, *line;
    int file =
        open_key(path, false, "copy it from the server: `cloud-server keys show` prints it", err);
    if (file < 0)
        return file;
    int result = read_text(file, path, text, sizeof text, err);
    close(file);
    if (result < 0)
        return result;
    size_t found = 0;
    while ((line = strsep(&rest, "\r\n"))) {
        line[strcspn(line, " \t")] = '\0';
        if (line[0] == '\0')
            continue;
        if (found == KEYS_SERVER_MAX)
            return error_set(err, ERROR_LIMIT, path, "has more than %u keys", KEYS_SERVER_MAX);
        if ((result = check_key(line, path, err)) < 0)
            return result;
        memcpy(keys[found++], line, KEY_TEXT_BYTES);
    }
    if (found == 0)
        return error_set(err, ERROR_FORMAT, path, "has no key in it");
    *count = found;
    return 0;
}

int keys_rotate(const char *folder, const char *name, struct key_pair *pair, struct error *err)
{
    struct key_pair present;
    char next[NAME_MAX + 1];
    int result = keys_read_pair(folder, name, &present, err);
    keys_wipe(&present);
    if (result == 0 && (result = next_name(next, name, err)) == 0)
        result = keys_create(folder, next, pair, err);
    return result;
}

int keys_switch(const char *folder, const char *name, struct key_pair *pair, struct error *err)
{
    static const char *const suffixes[] = { ".key", ".pub" };
    char next[NAME_MAX + 1], from[PATH_MAX], to[PATH_MAX];
    struct key_pair fresh;
    int result = next_name(next, name, err);
    /* A switch that was cut short after the secret has left the public key alone: that is finished. */
    if (result == 0 && (result = keys_file_path(from, sizeof from, folder, next, ".key", err)) == 0 &&
        access(from, F_OK) == 0) {
        result = keys_read_pair(folder, next, &fresh, err);
        keys_wipe(&fresh);
    }
    for (size_t i = 0; result == 0 && i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if ((result = keys_file_path(from, sizeof from, folder, next, suffixes[i], err)) < 0 ||
            (result = keys_file_path(to, sizeof to, folder, name, suffixes[i], err)) < 0)
            break;
        if (rename(from, to) != 0 && !(errno == ENOENT && i == 0))
            result = errno == ENOENT
                         ? error_set(err, ERROR_CONFIG, from,
                                     "there is no next key to switch to; `keys rotate` makes one")
                         : error_set_errno(err, errno, from, "cannot rename to %s", to);
    }
    return result == 0 ? keys_read_pair(folder, name, pair, err) : result;
}

int keys_destroy(const char *folder, const char *name, struct error *err)
{
    static const char *const suffixes[] = { ".key", ".pub" };
    char path[PATH_MAX];
    int result = wire_check_name(name, "key name", err);
    for (size_t i = 0; result == 0 && i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if ((result = keys_file_path(path, sizeof path, folder, name, suffixes[i], err)) == 0 &&
            unlink(path) != 0)
            result = error_set_errno(err, errno, path, "cannot remove this key");
    }
    return result;
}

/* Where the pair lies that is to follow. */
static int next_name(char next[NAME_MAX + 1], const char *name, struct error *err)
{
    int result = wire_check_name(name, "key name", err);
    if (result < 0)
        return result;
    snprintf(next, NAME_MAX + 1, "%s" KEYS_NEXT_SUFFIX, name);
    return wire_check_name(next, "name of the next key", err);
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
    char line[KEY_FILE_BYTES_MAX + 1];
    int file = open_key(path, secret, "make a key pair with `keys new` first", err);
    if (file < 0)
        return file;
    int result = read_text(file, path, line, sizeof line, err);
    close(file);
    if (result == 0)
        result = check_key(line, path, err);
    if (result == 0)
        memcpy(key, line, KEY_TEXT_BYTES);
    explicit_bzero(line, sizeof line);
    return result;
}

/* The descriptor, or what is wrong with the file; advice is for one that is not there. */
static int open_key(const char *path, bool secret, const char *advice, struct error *err)
{
    /* Not blocking: a pipe in its place must not stop the start. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 && errno == ENOENT)
        return error_set(err, ERROR_CONFIG, path, "no such file; %s", advice);
    if (file < 0)
        return error_set_errno(err, errno, path, "cannot read this key");
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
        return file;
    close(file);
    return result;
}

/* The file's text without the space at its end. */
static int read_text(int file, const char *path, char *text, size_t text_bytes, struct error *err)
{
    size_t size = 0;
    for (ssize_t count = 1; count != 0 && size < text_bytes;) {
        count = read(file, text + size, text_bytes - size);
        if (count < 0 && errno != EINTR)
            return error_set_errno(err, errno, path, "cannot read this key");
        size += count > 0 ? (size_t)count : 0;
    }
    if (size == text_bytes)
        return error_set(err, ERROR_FORMAT, path, "is longer than a key");
    while (size > 0 && strchr(" \t\r\n", text[size - 1]))
        size--;
    text[size] = '\0';
    return 0;
}

static int check_key(const char *line, const char *path, struct error *err)
{
    if (is_key(line))
        return 0;
    return error_set(err, ERROR_FORMAT, path,
                     "is not a key: expected one line of 40 characters of Z85, found %zu",
                     strlen(line));
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
