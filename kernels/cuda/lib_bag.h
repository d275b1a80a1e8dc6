/* lib_bag: descriptors of cuDNN's graph API. Those that belong together lie in one bag and are freed
 * together. What fails leaves its status in the bag, and later calls on it do nothing: a whole graph is
 * described first and asked about once. */
#ifndef RUNESPOOR_CUDA_LIB_BAG_H
#define RUNESPOOR_CUDA_LIB_BAG_H

#include <cudnn.h>
#include <stdbool.h>

#define BAG_ITEMS_MAX 96

struct lib_bag {
    cudnnBackendDescriptor_t items[BAG_ITEMS_MAX];
    int count;
    cudnnStatus_t status;
};

static inline bool bag_is_good(const struct lib_bag *bag)
{
    return bag->status == CUDNN_STATUS_SUCCESS;
}

/* A new descriptor, the bag's; NULL when something has failed. */
cudnnBackendDescriptor_t bag_add(struct lib_bag *bag, cudnnBackendDescriptorType_t type);
/* values: count of them, of that type. */
void bag_set(struct lib_bag *bag, cudnnBackendDescriptor_t item, cudnnBackendAttributeName_t name,
             cudnnBackendAttributeType_t type, int64_t count, const void *values);
void bag_set_one(struct lib_bag *bag, cudnnBackendDescriptor_t item, cudnnBackendAttributeName_t name,
                 cudnnBackendAttributeType_t type, const void *value);
/* Another descriptor as an attribute. */
void bag_set_item(struct lib_bag *bag, cudnnBackendDescriptor_t item,
                  cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value);
/* At most count_max values; how many there are. Descriptors are written to such as bag_add gave. */
int64_t bag_get(struct lib_bag *bag, cudnnBackendDescriptor_t item, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count_max, void *values);
void bag_finalize(struct lib_bag *bag, cudnnBackendDescriptor_t item);
/* Leaves an empty bag. */
void bag_empty(struct lib_bag *bag);

#endif
