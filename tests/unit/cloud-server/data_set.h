/* data_set: what the tests of data sets share: small sets in a temporary folder (pictures p_1, p_2 and
 * p_10 of 8x4), opening them, and expecting mistakes. */
#ifndef RUNESPOOR_TESTS_DATA_SET_H
#define RUNESPOOR_TESTS_DATA_SET_H

#include "learn/data.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define WIDTH 8u
#define HEIGHT 4u
#define PATH_BYTES 512u

static char folder[] = "/tmp/data_set_XXXXXX";

static inline void path_of(char path[PATH_BYTES], const char *name)
{
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
}

static inline void write_bytes(const char *name, const void *bytes, size_t size)
{
    char path[PATH_BYTES];
    path_of(path, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static inline void remove_file(const char *name)
{
    char path[PATH_BYTES];
    path_of(path, name);
    assert_int_equal(unlink(path), 0);
}

static inline void make_folder(const char *name)
{
    char path[PATH_BYTES];
    path_of(path, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* ---- a PNG writer: stored, not compressed, one row after the other ---- */

struct png {
    uint8_t bytes[4096];
    size_t size;
};

static inline void put_u32(struct png *png, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        png->bytes[png->size++] = (uint8_t)(value >> shift);
}

static inline uint32_t crc_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static inline void put_chunk(struct png *png, const char *name, const uint8_t *bytes, size_t size)
{
    put_u32(png, (uint32_t)size);
    size_t start = png->size;
    memcpy(png->bytes + png->size, name, 4);
    png->size += 4;
    if (size > 0)
        memcpy(png->bytes + png->size, bytes, size);
    png->size += size;
    put_u32(png, crc_of(png->bytes + start, png->size - start));
}

#define PNG_GREY 0u
#define PNG_RGB 2u
#define PNG_PALETTE 3u

/* rows: HEIGHT rows of row_bytes. */
static inline void make_png(struct png *png, uint32_t width, uint32_t height, unsigned bits,
                            unsigned colour, const uint8_t *rows, size_t row_bytes)
{
    static const uint8_t signature[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    /* Colours far from their indices. */
    static const uint8_t palette[] = { 200, 0, 0, 0, 200, 0, 0, 0, 200, 90, 90, 90 };
    uint8_t data[2048];
    uint32_t a = 1, b = 0; /* Adler-32 */
    size_t size = 0, raw_bytes = height * (row_bytes + 1);
    const uint8_t start[] = { 0x78,
                              0x01,
                              1,
                              (uint8_t)raw_bytes,
                              (uint8_t)(raw_bytes >> 8),
                              (uint8_t)~raw_bytes,
                              (uint8_t)(~raw_bytes >> 8) };
    memcpy(data, start, sizeof start);
    size = sizeof start;
    for (uint32_t y = 0; y < height; y++) {
        data[size++] = 0; /* no filter */
        memcpy(data + size, rows + y * row_bytes, row_bytes);
        size += row_bytes;
    }
    for (size_t i = sizeof start; i < size; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    *png = (struct png){ 0 };
    memcpy(png->bytes, signature, sizeof signature);
    png->size = sizeof signature;
    const uint8_t header[13] = {
        0, 0, 0, (uint8_t)width, 0, 0, 0, (uint8_t)height, (uint8_t)bits, (uint8_t)colour
    };
    put_chunk(png, "IHDR", header, sizeof header);
    if (colour == PNG_PALETTE)
        put_chunk(png, "PLTE", palette, sizeof palette);
    const uint8_t end[] = { (uint8_t)(b >> 8), (uint8_t)b, (uint8_t)(a >> 8), (uint8_t)a };
    memcpy(data + size, end, sizeof end);
    put_chunk(png, "IDAT", data, size + sizeof end);
    put_chunk(png, "IEND", NULL, 0);
}

/* A picture of WIDTH x HEIGHT, grey, darker to the left. */
static inline void write_picture(const char *name)
{
    uint8_t rows[HEIGHT * WIDTH];
    struct png png;
    for (size_t i = 0; i < sizeof rows; i++)
        rows[i] = (uint8_t)(16 * (i % WIDTH));
    make_png(&png, WIDTH, HEIGHT, 8, PNG_GREY, rows, WIDTH);
    write_bytes(name, png.bytes, png.size);
}

static inline void write_map(const char *name, unsigned bits, unsigned colour, const uint8_t *rows,
                             size_t row_bytes)
{
    struct png png;
    make_png(&png, WIDTH, HEIGHT, bits, colour, rows, row_bytes);
    write_bytes(name, png.bytes, png.size);
}

/* ---- sets ---- */

/* A configuration as config gives it, with nothing but defaults. */
static inline struct data_config defaults(void)
{
    return (struct data_config){
        .pictures = "", .labels = "", .classes = "", .ignore = "", .box_class = "person", .fps = 15
    };
}

/* With three pictures p_1, p_2 and p_10. */
static inline struct data_config small_set(const char *labels)
{
    static char paths[3][PATH_BYTES];
    struct data_config config = defaults();
    path_of(paths[0], "pictures");
    path_of(paths[1], labels);
    path_of(paths[2], "classes.txt");
    config.pictures = paths[0];
    config.labels = paths[1];
    config.classes = paths[2];
    return config;
}

static inline struct data *open_set(const struct data_config *config)
{
    struct error err = { 0 };
    struct data *data = NULL;
    if (data_open(&data, config, &err))
        fail_msg("%s", err.text);
    return data;
}

static inline void expect_text(const struct error *err, const char *text)
{
    if (!strstr(err->text, text))
        fail_msg("\"%s\" is not in: %s", text, err->text);
}

static inline void expect_mistake(const struct data_config *config, const char *text)
{
    struct error err = { 0 };
    struct data *data = NULL;
    if (data_open(&data, config, &err) == 0)
        fail_msg("opens, instead of: %s", text);
    assert_null(data);
    expect_text(&err, text);
}

/* A set whose one label file has this text. */
static inline void expect_label_mistake(const char *labels, const char *file, const char *text,
                                        const char *mistake)
{
    struct data_config config = small_set(labels);
    write_text(file, text);
    expect_mistake(&config, mistake);
}

static inline void expect_boxes(struct data *data, size_t index, const struct data_box *expected,
                                size_t count, size_t clipped)
{
    struct error err = { 0 };
    struct data_boxes boxes = { 0 };
    if (data_get_boxes(data, index, WIDTH, HEIGHT, &boxes, &err))
        fail_msg("%s", err.text);
    assert_int_equal(boxes.count, count);
    assert_int_equal(boxes.clipped, clipped);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(boxes.items[i].class_id, expected[i].class_id);
        assert_int_equal(boxes.items[i].ignore, expected[i].ignore);
        assert_float_equal(boxes.items[i].x, expected[i].x, 1e-5);
        assert_float_equal(boxes.items[i].y, expected[i].y, 1e-5);
        assert_float_equal(boxes.items[i].width, expected[i].width, 1e-5);
        assert_float_equal(boxes.items[i].height, expected[i].height, 1e-5);
    }
    data_boxes_finish(&boxes);
}

static inline void expect_boxes_mistake(struct data *data, size_t index, uint32_t width,
                                        const char *text)
{
    struct error err = { 0 };
    struct data_boxes boxes = { 0 };
    assert_int_not_equal(data_get_boxes(data, index, width, HEIGHT, &boxes, &err), 0);
    expect_text(&err, text);
    data_boxes_finish(&boxes);
}

static inline int setup_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    static const char *const folders[] = { "pictures", "maps", "yolo", "voc", "none", "other" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        make_folder(folders[i]);
    write_picture("pictures/p_1.png");
    write_picture("pictures/p_2.png");
    write_picture("pictures/p_10.png");
    write_text("pictures/notes.txt", "not a picture");
    write_text("classes.txt", "person\ncar\nvoid\n");
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    char command[PATH_BYTES];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command); /* NOLINT(cert-env33-c) our own fixed words */
}

#endif
