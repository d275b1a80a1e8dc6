/* sets: --set KEY=VALUE edits the tree that was read from the file; binding then checks both
 * alike. */
#include "config/parts.h"

#include "base/text.h"

#include <string.h>

struct walk {
    struct config *config;
    struct node *node;
    struct key_path path;
};

static bool step(struct walk *walk, const char *word, size_t size);
static bool parse_index(const char *word, size_t *index);

static const struct node set_place = { .from_set = true };

static bool is_utf8(const char *text)
{
    size_t size = strlen(text), at = 0, bytes = 1;
    for (; at < size && bytes > 0; at += bytes)
        bytes = text_utf8_bytes(text + at, size - at);
    return bytes > 0;
}

/* Words with a dot between, none of them empty, and no more of them than a file may nest. */
static bool check_key(const char *key, const char *end)
{
    unsigned words = 0;
    for (const char *word = key; word <= end; words++) {
        size_t size = strcspn(word, ".=");
        if (size == 0)
            return false;
        word += size + 1;
    }
    return words < CONFIG_DEPTH_MAX;
}

void set_apply(struct config *config, const char *set)
{
    const char *equals = strchr(set, '=');
    if (!equals) {
        problem_add(config, &set_place, "", "\"%.*s\" has no \"=\"; write a.b.0.c=VALUE",
                    CONFIG_SHOWN_BYTES, set);
        return;
    }
    if (!is_utf8(set)) {
        problem_add(config, &set_place, "", "\"%.*s\" is not UTF-8 text", CONFIG_SHOWN_BYTES, set);
        return;
    }
    if (!check_key(set, equals)) {
        problem_add(config, &set_place, "", "\"%.*s\" is not a key; write a.b.0.c=VALUE",
                    CONFIG_SHOWN_BYTES, set);
        return;
    }
    struct walk walk = { .config = config, .node = config->tree };
    for (const char *word = set; word < equals;) {
        size_t size = strcspn(word, ".=");
        if (!step(&walk, word, size))
            return;
        word += size + 1;
    }
    struct node *node = walk.node;
    node->kind = NODE_SCALAR;
    node->from_set = true;
    node->line = 0;
    node->first = node->last = NULL;
    node->count = 0;
    node->text = arena_copy(&config->arena, equals + 1, strlen(equals + 1));
}

/* From walk->node to its child named word, which is made where it is missing. */
static bool step(struct walk *walk, const char *word, size_t size)
{
    struct arena *arena = &walk->config->arena;
    struct node *parent = walk->node;
    const char *name = arena_copy(arena, word, size);
    if (!name)
        return false;
    size_t index;
    bool is_index = parse_index(name, &index);
    if (parent->kind == NODE_EMPTY || parent->kind == NODE_SCALAR)
        parent->kind = is_index ? NODE_LIST : NODE_MAP;
    struct node *child;
    if (parent->kind == NODE_MAP) {
        child = node_child(parent, name);
    } else if (!is_index || index > parent->count) {
        problem_add(walk->config, &set_place, walk->path.text,
                    "has %zu elements, written as .0 and so on; \"%.*s\" is none of them, nor the "
                    "next",
                    parent->count, CONFIG_SHOWN_BYTES, name);
        return false;
    } else {
        child = node_element(parent, index);
    }
    if (!child) {
        child = parent->kind == NODE_MAP ? node_add(arena, parent, name, size)
                                         : node_add(arena, parent, NULL, 0);
        if (!child)
            return false;
        child->from_set = true;
    }
    path_push(&walk->path, name);
    walk->node = child;
    return true;
}

static bool parse_index(const char *word, size_t *index)
{
    if (!*word || strlen(word) > 6 || strspn(word, "0123456789") != strlen(word))
        return false;
    *index = 0;
    for (; *word; word++)
        *index = *index * 10 + (size_t)(*word - '0');
    return true;
}
