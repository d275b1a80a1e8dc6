/* wire_check: the rules that each field of a parsed message must meet. Private to wire.c. */
#ifndef RUNESPOOR_NET_WIRE_CHECK_H
#define RUNESPOOR_NET_WIRE_CHECK_H

#include "net/wire.h"

/* 0, -ERROR_FORMAT with "kind: field: value and rule", or -ERROR_UNSUPPORTED for an unknown kind. */
int wire_check_header(const Runespoor__Header *header, size_t payload_size, struct error *err);

#endif
