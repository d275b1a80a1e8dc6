/* yaml: a file's text into a tree of nodes with line numbers, by libyaml's events. Refuses what
 * lets a small file grow or hide its meaning: anchors, aliases, tags, keys given twice. */
#include "config/parts.h"

#include "base/text.h"

#include <string.h>
#include <yaml.h>

struct reader {
    struct config *config;
    const char *bytes; /* the whole text */
    yaml_parser_t parser;
    struct key_path path;
    size_t node_count;
    bool ended;
};

static bool check_utf8(struct config *config, const char *bytes, size_t size);
static bool next_event(struct reader *reader, yaml_event_t *event);
static void read_document(struct reader *reader);
static void read_value(struct reader *reader, const yaml_event_t *event, struct node *node,
                       unsigned depth);

static void say(struct reader *reader, const yaml_event_t *event, const char *what)
{
    struct node place = { .line = (unsigned)event->start_mark.line + 1 };
    problem_add(reader->config, &place, reader->path.text, "%s", what);
}

static void stop(struct reader *reader, const yaml_event_t *event, const char *what)
{
    say(reader, event, what);
    reader->config->partial = true;
}

void yaml_read(struct config *config, const char *bytes, size_t size)
{
    if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        bytes += 3; /* the mark some editors put first */
        size -= 3;
    }
    if (!check_utf8(config, bytes, size)) {
        config->partial = true;
        return;
    }
    struct reader reader = { .config = config, .bytes = bytes };
    if (!yaml_parser_initialize(&reader.parser)) {
        config->arena.failed = true;
        return;
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, size);
    read_document(&reader);
    yaml_parser_delete(&reader.parser);
}

static unsigned count_lines(const char *bytes, size_t size)
{
    unsigned line = 1;
    for (size_t i = 0; i < size; i++)
        line += bytes[i] == '\n';
    return line;
}

static bool check_utf8(struct config *config, const char *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t length = text_utf8_bytes(bytes + at, size - at);
        unsigned char c = (unsigned char)bytes[at];
        bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
        if (length > 0 && !control) {
            at += length;
            continue;
        }
        struct node place = { .line = count_lines(bytes, at) };
        problem_add(config, &place, "", "byte 0x%02x is not UTF-8 text; save the file as UTF-8", c);
        return false;
    }
    return true;
}

static void read_document(struct reader *reader)
{
    yaml_event_t event;
    while (!reader->ended && !reader->config->partial && next_event(reader, &event)) {
        switch (event.type) {
        case YAML_DOCUMENT_START_EVENT:
            if (reader->config->tree->line > 0)
                stop(reader, &event, "a second document starts; only one is allowed in a file");
            reader->config->tree->line = (unsigned)event.end_mark.line + 1;
            break;
        case YAML_MAPPING_START_EVENT:
        case YAML_SEQUENCE_START_EVENT:
        case YAML_SCALAR_EVENT:
        case YAML_ALIAS_EVENT:
            read_value(reader, &event, reader->config->tree, 1);
            break;
        default: /* starts and ends of stream and document */
            reader->ended = event.type == YAML_STREAM_END_EVENT;
            break;
        }
        yaml_event_delete(&event);
    }
}

/* False at a syntax error, which is then told. */
static bool next_event(struct reader *reader, yaml_event_t *event)
{
    yaml_parser_t *parser = &reader->parser;
    if (yaml_parser_parse(parser, event))
        return true;
    reader->config->partial = true;
    if (parser->error == YAML_MEMORY_ERROR) {
        reader->config->arena.failed = true;
        return false;
    }
    struct node place = { .line = (unsigned)parser->problem_mark.line + 1 };
    if (parser->error == YAML_READER_ERROR) /* a character that may not be; it has no mark */
        place.line = count_lines(reader->bytes, parser->problem_offset);
    problem_add(reader->config, &place, "",
                "cannot be read as YAML: %s%s%s; look at the indentation (spaces, no tabs), the "
                "colons and the quotes here and just above",
                parser->context ? parser->context : "", parser->context ? ", " : "",
                parser->problem ? parser->problem : "unknown reason");
    return false;
}

static void refuse_properties(struct reader *reader, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    }
    if (anchor)
        say(reader, event, "anchors (&name) are not allowed, write the value out in each place");
    if (tag)
        say(reader, event, "tags (!name) are not allowed, leave the tag out");
}

static struct node *add_child(struct reader *reader, const yaml_event_t *event, struct node *parent,
                              const char *key, size_t key_size)
{
    if (reader->node_count >= CONFIG_NODES_MAX) {
        stop(reader, event, "the file has too many values");
        return NULL;
    }
    reader->node_count++;
    struct node *child = node_add(&reader->config->arena, parent, key, key_size);
    if (child)
        child->line = (unsigned)event->start_mark.line + 1;
    else
        reader->config->partial = true;
    return child;
}

static void read_scalar(struct reader *reader, const yaml_event_t *event, struct node *node)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    if (memchr(text, '\0', size)) {
        say(reader, event, "a value must not hold a NUL byte");
        node->kind = NODE_REFUSED;
        return;
    }
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        (size == 0 || strcmp(text, "~") == 0 || strcmp(text, "null") == 0))
        return;
    node->kind = NODE_SCALAR;
    node->text = arena_copy(&reader->config->arena, text, size);
    if (!node->text)
        reader->config->partial = true;
}

static void read_list(struct reader *reader, struct node *node, unsigned depth)
{
    yaml_event_t event;
    node->kind = NODE_LIST;
    for (bool more = true; more && !reader->config->partial && next_event(reader, &event);) {
        more = event.type != YAML_SEQUENCE_END_EVENT;
        if (more) {
            size_t before = path_push_index(&reader->path, node->count);
            struct node *child = add_child(reader, &event, node, NULL, 0);
            if (child)
                read_value(reader, &event, child, depth + 1);
            path_pop(&reader->path, before);
        }
        yaml_event_delete(&event);
    }
}

/* The key of an entry, or NULL after telling why it cannot be one. */
static const char *read_key(struct reader *reader, const yaml_event_t *event, unsigned depth)
{
    if (event->type == YAML_SCALAR_EVENT) {
        refuse_properties(reader, event);
        const char *key = (const char *)event->data.scalar.value;
        if (!memchr(key, '\0', event->data.scalar.length))
            return key;
    }
    say(reader, event, "a key must be a plain word");
    if (event->type != YAML_SCALAR_EVENT) {
        struct node ignored = { 0 };
        read_value(reader, event, &ignored, depth + 1); /* skips the rest of it */
    }
    return NULL;
}

/* event is the key's. The value of a key that is refused goes into a node that nobody looks at. */
static void read_entry(struct reader *reader, const yaml_event_t *event, struct node *map,
                       unsigned depth)
{
    struct node ignored = { 0 };
    struct node *child = &ignored;
    const char *key = read_key(reader, event, depth);
    size_t before = path_push(&reader->path, key ? key : "?");
    struct node *first = key ? node_child(map, key) : NULL;
    if (first) {
        struct node place = { .line = (unsigned)event->start_mark.line + 1 };
        problem_add(reader->config, &place, reader->path.text,
                    "is given twice, first in line %u; keep one", first->line);
    } else if (key && map->count >= CONFIG_KEYS_MAX) {
        stop(reader, event, "too many keys in one section");
    } else if (key) {
        child = add_child(reader, event, map, key, strlen(key));
    }
    yaml_event_t value;
    if (!reader->config->partial && next_event(reader, &value)) {
        read_value(reader, &value, child, depth + 1);
        yaml_event_delete(&value);
    }
    path_pop(&reader->path, before);
}

static void read_map(struct reader *reader, struct node *node, unsigned depth)
{
    yaml_event_t event;
    node->kind = NODE_MAP;
    for (bool more = true; more && !reader->config->partial && next_event(reader, &event);) {
        more = event.type != YAML_MAPPING_END_EVENT;
        if (more)
            read_entry(reader, &event, node, depth);
        yaml_event_delete(&event);
    }
}

/* event is the value's first; reads the rest of it. Goes no deeper than CONFIG_DEPTH_MAX. */
static void read_value(struct reader *reader, const yaml_event_t *event, struct node *node,
                       unsigned depth)
{
    if (depth > CONFIG_DEPTH_MAX) {
        stop(reader, event, "is nested too deeply");
        return;
    }
    refuse_properties(reader, event);
    if (event->type == YAML_SCALAR_EVENT) {
        read_scalar(reader, event, node);
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        read_list(reader, node, depth);
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        read_map(reader, node, depth);
    } else {
        say(reader, event, "aliases (*name) are not allowed, write the value out in each place");
        node->kind = NODE_REFUSED;
    }
}
