/* node: the tree that a YAML file becomes, and the dotted path to a place in it. */
#include "config/parts.h"

#include <stdio.h>
#include <string.h>

struct node *node_child(const struct node *map, const char *key)
{
    if (!map || map->kind != NODE_MAP)
        return NULL;
    struct node *child = map->first;
    while (child && strcmp(child->key, key) != 0)
        child = child->next;
    return child;
}

struct node *node_element(const struct node *list, size_t index)
{
    if (!list || list->kind != NODE_LIST || index >= list->count)
        return NULL;
    struct node *child = list->first;
    while (index-- > 0)
        child = child->next;
    return child;
}

struct node *node_add(struct arena *arena, struct node *parent, const char *key, size_t key_size)
{
    struct node *child = arena_alloc(arena, sizeof *child);
    if (!child)
        return NULL;
    if (key) {
        child->key = arena_copy(arena, key, key_size);
        if (!child->key)
            return NULL;
    }
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
    return child;
}

size_t path_push(struct key_path *path, const char *name)
{
    size_t before = path->size;
    size_t room = sizeof path->text - path->size;
    int added = snprintf(path->text + path->size, room, "%s%s", path->size ? "." : "", name);
    if (added > 0)
        path->size += (size_t)added < room ? (size_t)added : room - 1;
    return before;
}

size_t path_push_index(struct key_path *path, size_t index)
{
    char name[24];
    snprintf(name, sizeof name, "%zu", index);
    return path_push(path, name);
}

void path_pop(struct key_path *path, size_t before)
{
    path->size = before;
    path->text[before] = '\0';
}
