/* lib_bag: thin. */
#include "cuda/lib_bag.h"

cudnnBackendDescriptor_t bag_add(struct lib_bag *bag, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t item = NULL;
    if (bag_is_good(bag) && bag->count == BAG_ITEMS_MAX)
        bag->status = CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND;
    if (bag_is_good(bag))
        bag->status = cudnnBackendCreateDescriptor(type, &item);
    if (!bag_is_good(bag))
        return NULL;
    bag->items[bag->count++] = item;
    return item;
}

void bag_set(struct lib_bag *bag, cudnnBackendDescriptor_t item, cudnnBackendAttributeName_t name,
             cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    if (bag_is_good(bag))
        bag->status = cudnnBackendSetAttribute(item, name, type, count, values);
}

void bag_set_one(struct lib_bag *bag, cudnnBackendDescriptor_t item, cudnnBackendAttributeName_t name,
                 cudnnBackendAttributeType_t type, const void *value)
{
    bag_set(bag, item, name, type, 1, value);
}

void bag_set_item(struct lib_bag *bag, cudnnBackendDescriptor_t item,
                  cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value)
{
    bag_set(bag, item, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

int64_t bag_get(struct lib_bag *bag, cudnnBackendDescriptor_t item, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count_max, void *values)
{
    int64_t count = 0;
    if (bag_is_good(bag))
        bag->status = cudnnBackendGetAttribute(item, name, type, count_max, &count, values);
    if (!bag_is_good(bag))
        return 0;
    return count < count_max ? count : count_max;
}

void bag_finalize(struct lib_bag *bag, cudnnBackendDescriptor_t item)
{
    if (bag_is_good(bag))
        bag->status = cudnnBackendFinalize(item);
}

void bag_empty(struct lib_bag *bag)
{
    while (bag->count > 0)
        (void)cudnnBackendDestroyDescriptor(bag->items[--bag->count]);
    bag->status = CUDNN_STATUS_SUCCESS;
}
