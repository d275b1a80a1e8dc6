/* Small sets with boxes of every form, and lists of classes, written into a temporary folder: good ones
 * give the boxes in the picture's pixels, and each kind of mistake is told with file and line. */
#include "data_set.h"

static void yolo(void **state)
{
    (void)state;
    struct data_config config = small_set("yolo");
    expect_mistake(&config, "has no .png, .txt or .xml of the same name as any picture");
    config.form = DATA_FORM_YOLO;
    expect_mistake(&config, "has no .txt of the same name as any picture");
    config.form = DATA_FORM_AUTO;
    write_text("yolo/p_2.txt", "1 0.5 0.5 0.25 0.5\r\n\r\n\t0 0.125 0.5 0.5 1\n2 0.5 0.5 1 1");
    config.ignore = "void";
    struct data *data = open_set(&config);
    struct data_info info;
    data_get_info(data, &info);
    assert_int_equal(info.form, DATA_FORM_YOLO);
    static const struct data_box expected[] = { { 1, 3, 1, 2, 2, false },
                                                { 0, 0, 0, 3, 4, false },
                                                { 2, 0, 0, 8, 4, true } };
    expect_boxes(data, 0, NULL, 0, 0); /* no file: nothing is in it */
    expect_boxes(data, 1, expected, 3, 1);
    data_close(&data);

    static const char file[] = "yolo/p_2.txt";
    expect_label_mistake("yolo", file, "\n0 0.5 0.5 0.25\n", "p_2.txt:2: has 4 columns");
    expect_label_mistake("yolo", file, "0 0.5 0.5 0.25 0.5 0.9\n", "p_2.txt:1: has 6 columns");
    expect_label_mistake("yolo", file, "0 0.5 0.5 0.2 0.2\n0 20 30 4 5\n",
                         "p_2.txt:2: 20 in column 2 is not within 0 and 1");
    expect_label_mistake("yolo", file, "3 0.5 0.5 0.25 0.5\n", "class 3 is not one of the 3");
    expect_label_mistake("yolo", file, "-1 0.5 0.5 0.25 0.5\n", "class -1 is not one of the 3");
    expect_label_mistake("yolo", file, "0.5 0.5 0.5 0.25 0.5\n", "class 0.5 is not one of the 3");
    expect_label_mistake("yolo", file, "0 nan 0.5 0.25 0.5\n", "\"nan\" in column 2 is not a number");
    expect_label_mistake("yolo", file, "0 0x1 0.5 0.25 0.5\n", "\"0x1\" in column 2");
    expect_label_mistake("yolo", file, "0 0.5\001 0.5 0.25 0.5\n", "\"0.5?\" in column 2");
    expect_label_mistake("yolo", file, "0 0.5 0.5 0 0.5\n", "p_2.txt:1: a box of 0x0.5 has no area");
    remove_file(file);
}

static void mot(void **state)
{
    (void)state;
    struct data_config config = small_set("gt.txt");
    write_text("gt.txt", "2,1,3,2,4,2,1,-1,-1,-1\n1,1,0,1,2.5,2,0.5\n\n2,2,7,1,4,2,0,1,0.5\n");
    config.box_class = "car";
    struct data *data = open_set(&config);
    static const struct data_box first = { 1, 0, 0, 1.5F, 2, false };
    static const struct data_box second[] = { { 1, 2, 1, 4, 2, false }, { 1, 6, 0, 2, 2, true } };
    expect_boxes(data, 0, &first, 1, 1);
    expect_boxes(data, 1, second, 2, 1);
    expect_boxes(data, 2, NULL, 0, 0);
    expect_boxes_mistake(data, 1, 6, "gt.txt:4: the box lies outside of its picture of 6x4");
    data_close(&data);

    config.box_class = "lorry";
    expect_mistake(&config, "data.box_class: \"lorry\" is not one of the classes");
    static const char file[] = "gt.txt";
    expect_label_mistake(file, file, "1,1,1,1,2,2\n", "gt.txt:1: has 6 columns");
    expect_label_mistake(file, file, "1,1,1,1,2,2,1,1,1,1,1\n", "gt.txt:1: has 11 columns");
    expect_label_mistake(file, file, "1,1,1,1,2,2,1\n4,1,1,1,2,2,1\n",
                         "gt.txt:2: frame 4 is not within 1 and 3");
    expect_label_mistake(file, file, "0,1,1,1,2,2,1\n", "frame 0 is not within");
    expect_label_mistake(file, file, "1.5,1,1,1,2,2,1\n", "frame 1.5 is not within");
    expect_label_mistake(file, file, "1,1,inf,1,2,2,1\n", "\"inf\" in column 3 is not a number");
    expect_label_mistake(file, file, "1,1,1e300,1,2,2,1\n", "1e+300 is no coordinate");
    expect_label_mistake(file, file, "1,1,1,1,2,-2,1\n", "a box of 2x-2 has no area");
    expect_label_mistake(file, file, "1,1,,1,2,2,1\n", "\"\" in column 3 is not a number");
    expect_label_mistake(file, file, "", "gt.txt: has no boxes");
    config.form = DATA_FORM_VOC;
    expect_mistake(&config, "is a file; labels of form voc are a folder");
    write_text("gt.dat", "");
    config = small_set("gt.dat");
    expect_mistake(&config, "ends in neither .json (coco) nor .txt (mot)");
}

static void too_many_boxes(void **state)
{
    (void)state;
    struct data_config config = small_set("gt.txt");
    char path[PATH_BYTES];
    path_of(path, "gt.txt");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 10001; i++)
        fputs("2,1,1,1,2,2,1\n", file);
    assert_int_equal(fclose(file), 0);
    expect_mistake(&config, "picture 2 has 10001 boxes, allowed are 10000");
}

static const char coco_images[] =
    "\"images\": [{\"id\": 20, \"file_name\": \"train/p_1.png\", \"width\": 8, \"height\": 4},\n"
    "{\"id\": 10, \"file_name\": \"p_2.png\"}, {\"id\": 30, \"file_name\": \"p_10.png\"},\n"
    "{\"id\": 40, \"file_name\": \"elsewhere.png\"}]";
static const char coco_categories[] =
    "\"categories\": [{\"id\": 7, \"name\": \"car\"}, {\"id\": 3, \"name\": \"person\"}]";

static void expect_coco_mistake(const char *annotations, const char *mistake)
{
    char text[2048];
    snprintf(text, sizeof text, "{%s, %s, \"annotations\": [%s]}", coco_images, coco_categories,
             annotations);
    expect_label_mistake("coco.json", "coco.json", text, mistake);
}

static void coco(void **state)
{
    (void)state;
    char text[2048];
    snprintf(text, sizeof text,
             "{\"annotations\": [\n"
             "{\"image_id\": 20, \"category_id\": 7, \"bbox\": [1, 0.5, 2, 3], \"iscrowd\": 0},\n"
             "{\"image_id\": 40, \"category_id\": 7, \"bbox\": [1, 1, 2, 3]},\n"
             "{\"image_id\": 30, \"category_id\": 3, \"bbox\": [-1, 0, 20, 3], \"iscrowd\": 1},\n"
             "{\"image_id\": 10, \"category_id\": 3, \"bbox\": [8, 0, 1, 3]}],\n%s,\n%s}\n",
             coco_images, coco_categories);
    write_text("coco.json", text);
    struct data_config config = small_set("coco.json");
    struct data *data = open_set(&config);
    expect_boxes(data, 0, &(struct data_box){ 1, 1, 0.5F, 2, 3, false }, 1, 0);
    expect_boxes(data, 2, &(struct data_box){ 0, 0, 0, 8, 3, true }, 1, 1);
    expect_boxes_mistake(data, 1, WIDTH, "coco.json: annotations[3].bbox: lies outside");
    expect_boxes_mistake(data, 0, 16, "was made for p_1 at 8x4, but the picture is 16x4");
    data_close(&data);

    config.classes = ""; /* its own categories, by id */
    data = open_set(&config);
    struct data_info info;
    data_get_info(data, &info);
    assert_int_equal(info.class_count, 2);
    assert_string_equal(data_class_name(data, 0), "person");
    assert_string_equal(data_class_name(data, 1), "car");
    data_close(&data);

    expect_coco_mistake("{\"image_id\": 20, \"category_id\": 7, \"bbox\": [1, 1, 2]}",
                        "coco.json: annotations[0].bbox: must be four numbers");
    expect_coco_mistake("{\"image_id\": 20, \"category_id\": 7, \"bbox\": [1, 1, 2, \"3\"]}",
                        "annotations[0].bbox: must be four numbers");
    expect_coco_mistake("{\"image_id\": 20, \"category_id\": 7, \"bbox\": [1, 1, 2, 1e999]}",
                        "annotations[0].bbox: inf is no coordinate");
    expect_coco_mistake("{\"image_id\": 20, \"category_id\": 7, \"bbox\": [1, 1, 2, NaN]}",
                        "annotations[0].bbox: nan is no coordinate");
    expect_coco_mistake("{\"image_id\": 21, \"category_id\": 7, \"bbox\": [1, 1, 2, 3]}",
                        "annotations[0].image_id: is not among the images");
    expect_coco_mistake("{\"image_id\": 20, \"category_id\": 8, \"bbox\": [1, 1, 2, 3]}",
                        "annotations[0].category_id: is not among the categories");
    expect_coco_mistake("{\"image_id\": 1.5, \"category_id\": 8, \"bbox\": [1, 1, 2, 3]}",
                        "annotations[0].image_id: must be an integer");
    expect_coco_mistake("{\"image_id\": 20, \"category_id\": 7, \"bbox\": [1, 1, 0, 3]}",
                        "annotations[0].bbox: a box of 0x3 has no area");
    expect_coco_mistake("[]", "annotations[0]: must be an object");
    static const char file[] = "coco.json";
    expect_label_mistake(file, file, "{\n\"images\": [}", "coco.json:2: not COCO's JSON");
    expect_label_mistake(file, file, "{\"images\": [\n", "it ends too early");
    expect_label_mistake(file, file, "[]", "must be an object");
    expect_label_mistake(file, file, "{\"categories\": []}", "has no list \"images\"");
    expect_label_mistake(file, file,
                         "{\"categories\": [], \"annotations\": [], \"images\": "
                         "[{\"id\": 1, \"file_name\": \"p_1.png\"}]}",
                         "p_2.png is not among its images");
    expect_label_mistake(file, file,
                         "{\"categories\": [], \"annotations\": [], \"images\": "
                         "[{\"id\": 1, \"file_name\": \"p_1.png\"}, {\"id\": 1}]}",
                         "images[1].id: is there twice");
    expect_label_mistake(file, file,
                         "{\"categories\": [], \"annotations\": [], \"images\": [{\"id\": 1, "
                         "\"file_name\": \"p_1.png\"}, {\"id\": 2, \"file_name\": \"p_1.png\"}]}",
                         "images[1].file_name: is there twice");
    expect_label_mistake(file, file, "{\"categories\": [{\"id\": 1, \"name\": 5}]}",
                         "categories[0].name: must be a string");
    snprintf(text, sizeof text,
             "{%s, \"categories\": [{\"id\": 1, \"name\": \"dog\"}], \"annotations\": "
             "[{\"image_id\": 20, \"category_id\": 1, \"bbox\": [1, 1, 2, 3]}]}",
             coco_images);
    expect_label_mistake(file, file, text, "its category's name is not one of data.classes");
}

#define VOC_BOX(name, x1, y1, x2, y2)                                                        \
    "<object><name>" name "</name><bndbox>\n<xmin>" x1 "</xmin><ymin>" y1 "</ymin><xmax>" x2 \
    "</xmax><ymax>" y2 "</ymax></bndbox></object>\n"

static void voc(void **state)
{
    (void)state;
    static const char empty[] = "<annotation></annotation>";
    struct data_config config = small_set("voc");
    write_text("voc/p_1.xml", empty);
    write_text("voc/p_2.xml",
               "<?xml version=\"1.0\"?>\n<annotation><filename>p_2.png</filename>\n"
               "<size><width> 8 </width><height>4</height><depth>3</depth></size>\n"
               "<object><name>car</name><part><name>wheel</name><bndbox><xmin>9</xmin></bndbox>"
               "</part><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>4</xmax><ymax>1</ymax></bndbox>"
               "</object>\n"
               "<object><difficult>1</difficult><name>person</name>\n"
               "<bndbox><xmin>1</xmin><ymin>1.5</ymin><xmax>9</xmax><ymax>3</ymax></bndbox>"
               "</object></annotation>\n");
    expect_mistake(&config, "picture p_10.png has no labels");
    write_text("voc/p_10.xml", empty);
    struct data *data = open_set(&config);
    static const struct data_box expected[] = { { 1, 1, 0, 3, 1, false },
                                                { 0, 0, 0.5F, 8, 2.5F, true } };
    expect_boxes(data, 0, NULL, 0, 0);
    expect_boxes(data, 1, expected, 2, 1);
    expect_boxes_mistake(data, 1, 9, "p_2.xml: was made for p_2 at 8x4");
    data_close(&data);

    static const char file[] = "voc/p_2.xml";
#define EXPECT_VOC(text, mistake) \
    expect_label_mistake("voc", file, "<annotation>\n" text "</annotation>", mistake)
    EXPECT_VOC(VOC_BOX("cat", "1", "1", "2", "2"), "p_2.xml:2: \"cat\" is not one of the classes");
    EXPECT_VOC(VOC_BOX("person", "1", "1", "x", "2"), "p_2.xml:3: \"x\" in <xmax> is not a number");
    EXPECT_VOC(VOC_BOX("person", "1", "1", "nan", "2"), "\"nan\" in <xmax> is not a number");
    EXPECT_VOC(VOC_BOX("person", "5", "1", "2", "2"), "p_2.xml:2: a box of -2x2 has no area");
    EXPECT_VOC("<object><name>car</name></object>", "p_2.xml:2: the <object> has no <bndbox>");
    EXPECT_VOC("<object><name>car</name><bndbox><xmin>1</xmin></bndbox></object>",
               "the <object> has no <ymin>");
    EXPECT_VOC("<object>" VOC_BOX("car", "1", "1", "2", "2") "</object>", "has no <name>");
    EXPECT_VOC("<object><name>car</name><name>car</name></object>",
               "p_2.xml:2: there is a second <name> in <object>");
    EXPECT_VOC("<size><width>1.5</width></size>", "1.5 in <width> is no size of a picture");
    EXPECT_VOC("<object>", "p_2.xml:2: the XML is broken");
    expect_label_mistake("voc", file, "<html></html>", "p_2.xml:1: begins with <html>");
    expect_label_mistake("voc", file, "", "p_2.xml:1: the XML is broken");
    expect_label_mistake("voc", file,
                         "<!DOCTYPE annotation [<!ENTITY a \"person\">]>\n<annotation>&a;"
                         "</annotation>",
                         "p_2.xml:1: has a document type");
    write_text(file, "<annotation>" VOC_BOX("car", "20", "1", "22", "2") "</annotation>");
    config = small_set("voc");
    data = open_set(&config);
    expect_boxes_mistake(data, 1, WIDTH, "p_2.xml:1: the box lies outside of its picture of 8x4");
    data_close(&data);
}

static void expect_class_mistake(const char *text, const char *mistake)
{
    struct data_config config = small_set("none");
    char path[PATH_BYTES];
    path_of(path, "names.txt");
    write_text("names.txt", text);
    config.labels = "";
    config.classes = path;
    expect_mistake(&config, mistake);
}

static void class_mistakes(void **state)
{
    (void)state;
    char many[6 * 1100] = "";
    expect_class_mistake("", "names.txt: is empty");
    expect_class_mistake("sky\nroad\nsky\n", "names.txt:3: \"sky\" is class 0 already");
    expect_class_mistake("0 sky\nroad\n", "names.txt:2: \"road\" does not begin with its number 1");
    expect_class_mistake("0 sky\n2 road\n",
                         "names.txt:2: \"2 road\" does not begin with its number");
    expect_class_mistake("a23456789012345678901234567890123456789012345678901234567890123456\n",
                         "must have 1 to 64 letters");
    for (int i = 0; i < 1025; i++)
        snprintf(many + strlen(many), 7, "c%d\n", i);
    expect_class_mistake(many, "names.txt:1025: more than 1024 classes");
    struct data_config config = small_set("none");
    config.classes = "/nowhere/at/all";
    config.labels = "";
    expect_mistake(&config, "data.classes: /nowhere/at/all: cannot open");
    config = small_set("nowhere");
    expect_mistake(&config, "data.labels: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yolo), cmocka_unit_test(mot), cmocka_unit_test(too_many_boxes),
        cmocka_unit_test(coco), cmocka_unit_test(voc), cmocka_unit_test(class_mistakes),
    };
    return cmocka_run_group_tests(tests, setup_folder, remove_folder);
}
