/* replay: runs a fuzz target over files (or all files of folders) once each, so that every corpus is
 * a regression test in builds without libFuzzer. Without arguments it takes CORPUS, the target's own
 * folder. Prints cmocka's summary line for tests/run. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return -1;
    }
    uint8_t *bytes = NULL;
    size_t size = 0, capacity = 0;
    int result = -1;
    for (;;) {
        if (size == capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            uint8_t *grown = realloc(bytes, capacity);
            if (!grown)
                goto out;
            bytes = grown;
        }
        size_t got = fread(bytes + size, 1, capacity - size, file);
        if (got == 0)
            break;
        size += got;
    }
    if (ferror(file))
        goto out;
    fprintf(stderr, "replay: %s\n", path);
    LLVMFuzzerTestOneInput(bytes, size);
    replayed++;
    result = 0;
out:
    free(bytes);
    fclose(file);
    return result;
}

static int replay_path(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return replay_file(path);
    DIR *folder = opendir(path);
    if (!folder)
        return -1;
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(folder));) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        result = replay_file(name);
    }
    closedir(folder);
    return result;
}

int main(int argc, char **argv)
{
    const char *corpus[] = { CORPUS };
    const char *const *paths = argc > 1 ? (const char *const *)argv + 1 : corpus;
    int count = argc > 1 ? argc - 1 : 1;
    for (int i = 0; i < count; i++)
        if (replay_path(paths[i]) != 0) {
            printf("[  FAILED  ] 1 test(s).\n");
            return 1;
        }
    printf("[  PASSED  ] %u test(s).\n", replayed);
    return replayed ? 0 : 1;
}
