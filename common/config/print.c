/* print: what holds, and where each value came from. The output is YAML again, but for secrets. */
#include "config/parts.h"

#include <assert.h>

struct printer {
    const struct config *config;
    FILE *out;
};

static void print_section(struct printer *printer, const struct option_spec *table,
                          const char *base, const struct node *node, int indent, bool element);

void config_print(const struct config *config, FILE *out)
{
    struct printer printer = { .config = config, .out = out };
    assert(config->problem_count == 0);
    print_section(&printer, config->root, config->target, config->tree, 0, false);
}

static void print_origin(struct printer *printer, const struct node *node)
{
    if (!node)
        fputs("  # default\n", printer->out);
    else if (node->from_set)
        fputs("  # --set\n", printer->out);
    else
        fprintf(printer->out, "  # %s:%u\n", printer->config->name, node->line);
}

static void print_list(struct printer *printer, const struct option_spec *spec,
                       const struct option_list *list, const struct node *node, int indent)
{
    if (list->count == 0) {
        fprintf(printer->out, "%s: []", spec->name);
        print_origin(printer, node);
        return;
    }
    fprintf(printer->out, "%s:\n", spec->name);
    for (size_t i = 0; i < list->count; i++)
        print_section(printer, spec->section, (const char *)list->items + i * spec->element_bytes,
                      node_element(node, i), indent + 4, true);
}

/* The first key of a list's element has the dash before it. */
static void print_section(struct printer *printer, const struct option_spec *table,
                          const char *base, const struct node *node, int indent, bool element)
{
    for (const struct option_spec *spec = table; spec->kind != OPTION_KIND_END; spec++) {
        const struct node *child = node_child(node, spec->name);
        const void *field = base + spec->offset;
        if (element && spec == table)
            fprintf(printer->out, "%*s- ", indent - 2, "");
        else
            fprintf(printer->out, "%*s", indent, "");
        if (spec->kind == OPTION_KIND_SECTION) {
            fprintf(printer->out, "%s:\n", spec->name);
            print_section(printer, spec->section, field, child, indent + 2, false);
        } else if (spec->kind == OPTION_KIND_LIST) {
            print_list(printer, spec, field, child, indent);
        } else {
            fprintf(printer->out, "%s: ", spec->name);
            value_print(spec, field, printer->out);
            print_origin(printer, child);
        }
    }
}
